"""`payments audit`: what it reads, what it says, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.auditing import ledger_of
from deploy.settings import Settings, SettingsError
from deploy.views.audit_text import report_lines
from outbox.audit import Invariant, Report
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish
from tests.embedded.support import connected
from tests.processes import started
from tests.sandbox.process import running

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def with_sandbox(tmp_path: Path, deployment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run a sandbox, and have the deployment use it."""
    with running(tmp_path / "sandbox.jsonl") as sandbox:
        yield deployment | {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}


def test_what_others_made_up_is_shown_without_its_control_characters() -> None:
    name = "order red\x1b[31m\nall hold"
    lines = list(report_lines(Report(False, False, (Invariant(1, "bounds", False, 1, (name,), (name,)),), (name,))))
    assert [line.count("order red\\x1b[31m\\nall hold") for line in lines] == [0, 1, 1, 1]
    assert "\n" not in "".join(lines)


@pytest.mark.integration
def test_a_run_is_waited_for_and_audited_against_the_ledger_and_the_topics(
    tmp_path: Path, with_sandbox: dict[str, str]
) -> None:
    stocked = payments(tmp_path, "stock", "set", "tea", "5", **with_sandbox)
    assert stocked.code == 0, stocked.err
    orders = [confirmed("paid"), confirmed("declined", "pm_card_chargeDeclined"), confirmed("short", quantity=9)]
    with started(tmp_path, "up", **with_sandbox) as up:
        up.await_line("running")
        publish(tmp_path, with_sandbox, *orders, confirmed("captured", "pm_wallet_captured", quantity=9))
        sound = payments(tmp_path, "audit", "--wait", "30", "--topics", "--json", **with_sandbox)
        assert up.stop() == 0
    assert sound.code == 0, sound.out + sound.err
    document = json.loads(sound.out)
    assert (document["holds"], document["quiescent"]) == (True, True)
    assert [(i["id"], i["holds"], i["violations"]) for i in document["invariants"]] == [
        (number, True, []) for number in range(1, 12)
    ]
    assert "the gateway keeps 1250, our attempts 1250" in sound.err

    # Whoever asks a gateway or an inventory here gets no answer, and ends with 3.
    alone = with_sandbox | {"PAYMENTS_STRIPE_API_BASE": NOBODY, "PAYMENTS_INVENTORY": "http"}
    alone |= {"PAYMENTS_INVENTORY_URL": NOBODY}
    assert payments(tmp_path, "audit", **alone).code == 3
    rebuilt = payments(tmp_path, "audit", "--rebuild", "--json", **alone)
    assert rebuilt.code == 0, rebuilt.out + rebuilt.err
    told = json.loads(rebuilt.out)
    assert [(i["id"], i["holds"], i["checked"]) for i in told["invariants"]] == [(12, True, 4)]
    assert (told["rebuild"]["equal"], told["rebuild"]["differing"], told["rebuild"]["apart"]) == (4, [], [])
    assert len(set(told["rebuild"]["sha256"].values())) == 1

    with connected(with_sandbox["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE attempt SET captured_minor = 1 WHERE order_id = 'paid'")
    broken = payments(tmp_path, "audit", **with_sandbox)
    assert broken.code == 1
    assert "order paid: attempt 1 has captured 1, and the gateway 1250" in broken.out
    assert broken.out.splitlines()[-1] == "2 broken; quiescent"
    differs = payments(tmp_path, "audit", "--rebuild", "--keep", **alone)
    assert differs.code == 1
    assert "order paid: attempts[1].captured_minor is 1, by the topics 1250" in differs.out
    assert "3 orders equal, 1 differ, 0 apart" in differs.out
    kept = payments(tmp_path, "audit", "--rebuild", **alone)
    assert (kept.code, "payments_rebuild of that database is not empty" in kept.err) == (2, True)
    live = payments(tmp_path, "audit", "--rebuild", "--schema", "public", **alone)
    assert (live.code, "public is the live schema" in live.err) == (2, True)
    nowhere = payments(tmp_path, "audit", "--rebuild", "--into", "postgresql://a:b@127.0.0.1:1/c", **alone)
    assert (nowhere.code, "check that it runs, and --into" in nowhere.err) == (3, True)

    publish(tmp_path, with_sandbox, confirmed("waiting"))
    in_vain = payments(tmp_path, "audit", "--wait", "0.5", "--json", **with_sandbox)
    assert in_vain.code == 1
    waiting = "payments.authorize_payment has 1 message before it"
    assert f"payments: not quiescent after 0.5 s ({waiting})" in in_vain.err
    unsaid = [i["id"] for i in json.loads(in_vain.out)["invariants"] if i["holds"] is None]
    assert unsaid == [7, 8, 9]


@pytest.mark.integration
def test_what_does_not_answer_ends_it_with_3(tmp_path: Path, places: dict[str, str]) -> None:
    assert payments(tmp_path, "audit", **places).code == 3
    assert payments(tmp_path, "migrate", **places).code == 0
    no_topics = payments(tmp_path, "audit", **places)
    assert (no_topics.code, "payments topics create" in no_topics.err) == (3, True)
    no_kafka = payments(tmp_path, "audit", **places | {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert (no_kafka.code, no_kafka.err.count("\n")) == (3, 1)
    without = {name: value for name, value in places.items() if "KAFKA" not in name}
    sandbox = {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": NOBODY}
    no_ledger = payments(tmp_path, "audit", **without | sandbox)
    assert (no_ledger.code, "start the sandbox" in no_ledger.err) == (3, True)
    no_database = payments(
        tmp_path, "audit", **without | {"PAYMENTS_DATABASE_URL": "postgresql+psycopg://a:b@127.0.0.1:1/c"}
    )
    assert (no_database.code, no_database.err.count("\n")) == (3, 1)


@pytest.mark.integration
def test_without_kafka_the_database_alone_is_audited_but_not_the_topics(tmp_path: Path, places: dict[str, str]) -> None:
    assert payments(tmp_path, "migrate", **places).code == 0
    without = {name: value for name, value in places.items() if "KAFKA" not in name}
    ran = payments(tmp_path, "audit", "--wait", "1", **without)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "all hold; quiescent"
    assert payments(tmp_path, "audit", "--topics", **without).code == 2


def test_wrong_usage_is_said(tmp_path: Path) -> None:
    assert payments(tmp_path, "audit", "--wait", "-1").code == 2
    both = payments(tmp_path, "audit", "--rebuild", "--topics")
    assert (both.code, "run --topics apart" in both.err) == (2, True)
    assert payments(tmp_path, "audit", "--keep").code == 2


def test_a_sandbox_without_an_address_is_a_setting_that_lacks() -> None:
    with pytest.raises(SettingsError, match="PAYMENTS_STRIPE_API_BASE"):
        ledger_of(Settings(gateway="sandbox"))
    assert ledger_of(Settings(gateway="simulated")) is None


def invariant(number: int, holds: bool | None, **more: Any) -> Invariant:  # noqa: FBT001 - the answer
    return Invariant(number, f"name {number}", holds, 1_000 * number, more.pop("violations", ()), **more)


def test_the_text_names_twenty_violations_and_counts_all() -> None:
    violations = tuple(f"order {n}" for n in range(30))
    lines = list(report_lines(Report(False, True, (invariant(4, False, violations=violations, found=50),))))
    assert "✗" in lines[0]
    assert lines[1:21] == [f"      order {n}" for n in range(20)]
    assert lines[21] == "      50 in all; --json lists more"
    assert lines[-1] == "1 broken; quiescent"


def test_the_text_tells_what_cannot_be_said_and_why() -> None:
    report = Report(True, False, (invariant(1, True), invariant(7, None, notes=("not quiescent",))), ("a", "b"))
    lines = list(report_lines(report))
    assert [line.split()[1:3] for line in lines[:2]] == [["1", "1,000"], ["7", "7,000"]]
    assert "(not quiescent)" in lines[2]
    assert lines[-1] == "none broken, 1 cannot be said now; not quiescent: a; b"


@pytest.mark.parametrize(
    "url",
    ["nonsense", "", "mysql://user:secret@host/x", "postgres:/user:secret@host/x", "postgresql://u:secret@h/x?a=1"],
)
def test_a_wrong_place_to_build_in_is_refused_in_one_line_without_its_password(tmp_path: Path, url: str) -> None:
    refused = payments(tmp_path, "audit", "--rebuild", "--into", url)
    assert (refused.code, refused.err.count("\n"), "secret" in refused.err) == (2, 1, False)
    assert "--into must look like postgresql://user:password@host:port/database" in refused.err


@pytest.mark.parametrize("name", ["", "pg_mine", "x" * 64])
def test_a_schema_that_postgresql_would_refuse_or_cut_is_refused(tmp_path: Path, name: str) -> None:
    refused = payments(tmp_path, "audit", "--rebuild", "--schema", name)
    assert (refused.code, refused.err.count("\n"), "--schema has 1 to 63 bytes" in refused.err) == (2, 1, True)

import io
import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from deploy.demo.elsewhere import kinds_of
from deploy.demo.kinds import ORDERS_MIN
from deploy.demo.play import play
from deploy.demo.report import document, page
from deploy.demo.script import Script, write_script
from deploy.demo.show import Show
from deploy.demo.stage import set_up
from deploy.demo.stories import End, Money
from tests.deploy.commands import payments
from tests.processes import started

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEADING_ASTRAY = {
    "PAYMENTS_STRIPE_API_KEY": "sk_live_of_somebody",
    "PAYMENTS_STRIPE_API_BASE": "https://example.com",
    "PAYMENTS_GATEWAY": "stripe",
    "PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "PAYMENTS_TOPIC_PREFIX": "elsewhere.",
}


def folders(place: Path) -> list[Path]:
    return list(place.glob("payments-*"))


def processes(place: Path) -> list[str]:
    """Command lines of everything that works in a folder of this place."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if f"{place}/payments-" in line:
            found.append(line)
    return found


def with_another_end(script: Script) -> Script:
    """Have the script say of the first order, which is paid, that it must be declined."""
    first = next(order for order in script.orders if order.story.ends == (End(None, Money.TAKEN),))
    wrong = replace(first, story=replace(first.story, ends=(End("card_declined", Money.NONE),)))
    return replace(script, orders=[wrong if order is first else order for order in script.orders])


def test_demo_prints_one_document_with_every_outcome_as_its_script_says(tmp_path: Path) -> None:
    ran = payments(tmp_path, "demo", "--orders", "40", "--seed", "7", "--json", TMPDIR=str(tmp_path), **LEADING_ASTRAY)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["orders"], found["seed"]) == (40, 7)
    assert found["outcomes"] == found["expected"]
    assert sum(found["outcomes"].values()) == 40
    assert (found["audit"]["holds"], found["audit"]["quiescent"]) == (True, True)
    assert [i["id"] for i in found["audit"]["invariants"] if i["holds"]] == list(range(1, 12))
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert found["seconds"] > 0
    assert found["orders_per_s"] > 0
    assert all(re.fullmatch(r"\d+(\.\d+)+", found[name]) for name in ("kafka", "postgresql"))
    assert {kind["orders"] - kind["as_expected"] for kind in found["kinds"].values()} == {0}
    assert found["mails"]["came"] == found["mails"]["expected"]
    assert found["mails"]["came"].keys() >= {"ACTION_REQUIRED", "ITEMS_UNAVAILABLE", "PAYMENT_FAILED"}
    assert {letter["reason"] for letter in found["dead_letters"]} == {
        "total_mismatch",
        "card_number",
        "key_mismatch",
        "undecodable",
        "unknown_order",
        "conflict",
    }
    assert (folders(tmp_path), processes(tmp_path)) == ([], [])


def test_demo_with_the_stock_elsewhere_plays_its_trouble_too(tmp_path: Path) -> None:
    least = len(kinds_of(elsewhere=True))
    too_few = payments(tmp_path, "demo", "--inventory", "http", "--orders", str(ORDERS_MIN))
    assert (too_few.code, str(least) in too_few.err) == (2, True)

    arguments = ("demo", "--inventory", "http", "--orders", str(least), "--json")
    with started(tmp_path, *arguments, TMPDIR=str(tmp_path), **LEADING_ASTRAY) as demo:
        assert demo.wait(150) == 0, demo.log
        found = json.loads(demo.out)
    assert (found["inventory"], found["as_expected"], found["wrong"]) == ("http", True, {})
    assert [i["id"] for i in found["audit"]["invariants"] if i["holds"]] == list(range(1, 12))
    assert sum("inventory trouble" in kind for kind in found["kinds"]) == 5
    assert (folders(tmp_path), processes(tmp_path)) == ([], [])


def test_fewer_orders_than_there_are_kinds_is_wrong_usage(tmp_path: Path) -> None:
    ran = payments(tmp_path, "demo", "--orders", str(ORDERS_MIN - 1))
    assert ran.code == 2
    assert str(ORDERS_MIN) in ran.err


@pytest.mark.kill
def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--orders", "5000", TMPDIR=str(tmp_path)) as demo:
        demo.eventually(lambda: "confirmed" in demo.log, "orders are under way", 90)
        assert folders(tmp_path) != []
        demo.signal(signal.SIGTERM)
        assert demo.wait(60) == 130
    assert (folders(tmp_path), processes(tmp_path)) == ([], [])


@pytest.mark.kill
def test_demo_interrupted_while_its_servers_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "demo", TMPDIR=str(tmp_path)) as demo:
        demo.eventually(lambda: list(tmp_path.glob("payments-*/postgres")), "PostgreSQL is being set up", 60)
        demo.signal(signal.SIGINT)
        assert demo.wait(60) == 130
    assert (folders(tmp_path), processes(tmp_path)) == ([], [])


def test_demo_with_an_order_that_does_not_end_as_its_script_says_is_not_good() -> None:
    script = with_another_end(write_script(ORDERS_MIN, 1))
    played = play(script, Show(Console(file=io.StringIO())), set_up, quiet_s=2)
    assert not played.good
    found = document(played)
    assert found["audit"]["holds"] is True
    assert found["outcomes"] != found["expected"]
    assert len(found["wrong"]) == 1
    assert found["mails"]["expected"] != found["mails"]["came"]
    told = "\n".join(str(line) for line in page(played, "yes", "NO"))
    assert "status paid_and_confirmed, not payment_failed" in told
    assert "1 not as the script says" in told

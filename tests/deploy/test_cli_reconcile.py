"""`payments reconcile`: every difference with the gateway's lists has a name, and nothing else is one."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.cli.reconcile import Since
from deploy.running import now
from deploy.views.reconcile_text import MEANINGS, reconcile_lines
from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from outbox.audit import Difference, Kind, Reconciliation
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.processes import started
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import SandboxProcess, running

NOBODY = "http://127.0.0.1:1"
HAND = "5f0e2f3a-0000-4000-8000-000000000001"
PAID = (
    *("captured-row", "authorized-row", "currency", "refunded-there", "hold-unknown", "gone", "twice"),
    *("under-way", "asked", "refund-failed"),
)
FAILED = ("refund-gone", "declined")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with running(tmp_path / "sandbox.jsonl") as process:
        yield process


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[Client]:
    with client_of(sandbox.address) as opened:
        yield opened


@pytest.fixture
def shop(tmp_path: Path, deployment: dict[str, str], sandbox: SandboxProcess) -> dict[str, str]:
    """Give the deployment the sandbox as its gateway, and tea."""
    environment = deployment | {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}
    environment |= {"PAYMENTS_UNKNOWN_RETRY_S": "0.2", "PAYMENTS_BACKOFF_MIN_S": "0.2"}
    assert payments(tmp_path, "stock", "set", "tea", "5000", **environment).code == 0
    return environment


def play(directory: Path, environment: dict[str, str], *orders: dict[str, Any]) -> None:
    """Let the pipeline end these orders."""
    with started(directory, "up", **environment) as up:
        publish(directory, environment, *orders)
        audited = payments(directory, "audit", "--wait", "50", "--json", **environment)
        assert audited.code == 0, audited.err
        assert up.stop() == 0


def asked(directory: Path, environment: dict[str, str], *arguments: str) -> tuple[Ran, dict[str, Any]]:
    ran = payments(directory, "reconcile", "--json", *arguments, **environment)
    assert ran.out, ran.err
    return ran, json.loads(ran.out)


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_hundreds_of_orders_of_every_kind_have_no_difference(
    tmp_path: Path, shop: dict[str, str], client: Client
) -> None:
    tokens = ["pm_card_visa", "pm_card_chargeDeclined", "pm_wallet_captured", "pm_fault_500_after", "pm_fault_429"]
    tokens += ["pm_fault_capture_refused", "pm_fault_reset_after", "pm_fault_truncated_on_capture"]
    orders = [confirmed(f"order-{n}", tokens[n % len(tokens)]) for n in range(200)]
    orders += [confirmed(f"short-{n}", tokens[n % 3], quantity=9_999) for n in range(30)]
    orders += [confirmed("pending", "pm_fault_refund_pending", quantity=9_999)]
    play(tmp_path, shop, *orders)
    for number in range(3):
        client.intent(currency="xpf", capture_method="automatic", **{"metadata[shop]": f"other-{number}"})
    client.post("/v1/refunds", {"payment_intent": client.get("/v1/payment_intents?limit=1").body["data"][0]["id"]})

    ran, found = asked(tmp_path, shop)
    assert (ran.code, found["differences"]) == (0, [])
    assert found["same"] is True
    assert found["compared"] == {"orders": 231, "attempts": 231, "transactions": 231, "refunds": 11}
    assert found["foreign"] == {"transactions": 3, "refunds": 1}
    assert (found["under_way"], found["found"], found["for_operator"]) == (0, {}, [])
    told = payments(tmp_path, "reconcile", "--since", "1h", **shop)
    assert told.code == 0
    assert told.out.splitlines()[0].startswith(
        "compared 231 orders (231 attempts) with 231 transactions and 11 refunds"
    )
    assert told.out.splitlines()[-2:] == ["of the account are not ours: 3 transactions, 1 refund", "no differences"]

    as_stripe = shop | {"PAYMENTS_GATEWAY": "stripe", "PAYMENTS_STRIPE_API_KEY": "sk_test_audit"}
    audited = payments(tmp_path, "audit", "--json", **as_stripe)
    assert audited.code == 0, audited.err
    holds = {i["id"]: i["holds"] for i in json.loads(audited.out)["invariants"]}
    assert holds == {1: True, 2: None, 3: None, 4: True, 5: True, 6: True, 7: True, 8: True, 9: True}
    assert "2: this gateway's lists do not show its effects by key" in audited.err


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_every_kind_of_difference_is_found_and_named(tmp_path: Path, shop: dict[str, str], client: Client) -> None:
    tokens = {
        "declined": "pm_card_chargeDeclined",
        "refund-gone": "pm_wallet_captured",
        "refund-failed": "pm_card_refundFail",
    }
    play(
        tmp_path,
        shop,
        *(confirmed(o, tokens.get(o, "pm_card_visa"), 9_999 if o == "refund-gone" else 2) for o in PAID + FAILED),
    )
    assert [status_of(shop, order) for order in PAID + FAILED] == ["paid_and_confirmed"] * len(PAID) + [
        "payment_failed"
    ] * len(FAILED)
    held = ("part", "cancelled")
    with started(tmp_path, "consume", "OrderConfirmed", **shop) as consumer:
        publish(tmp_path, shop, *map(confirmed, held))
        consumer.eventually(lambda: [status_of(shop, o) for o in held] == ["payment_authorized"] * 2, "authorized")
        assert consumer.stop() == 0
    assert asked(tmp_path, shop)[0].code == 0

    transactions, refund = _change_both_sides(shop, client)
    ran, found = asked(tmp_path, shop)
    assert ran.code == 1
    named = {(d["kind"], d["order_id"], d["ours"], d["theirs"]) for d in found["differences"]}
    assert named == {
        ("captured", "captured-row", 1, 1250),
        ("authorized", "authorized-row", 9999, 1250),
        ("currency", "currency", None, None),
        ("refunded_elsewhere", "refunded-there", 0, 100),
        ("transaction_unknown", "hold-unknown", 0, 0),
        ("transaction_missing", "gone", 1250, 0),
        ("transaction_unknown", "gone", 0, 1250),
        ("transaction_unknown", "twice", 0, 700),
        ("kept_twice", "twice", None, 1950),
        ("kept_too_much", "twice", 1250, 1950),
        ("authorized_twice", "twice", 1, 2),
        ("refund_missing", "refund-gone", None, None),
        ("refund_failed", "refund-failed", 1250, 0),
        ("still_held", "declined", 0, 900),
        ("captured", "part", 0, 1000),
        ("hold_gone", "cancelled", 1250, 0),
        ("order_unknown", "nobody", 0, 0),
        ("undecided", "captured-row", None, None),
    }
    assert found["found"] == {
        str(kind): sum(name == kind for name, *_ in named) for kind in Kind if any(n == kind for n, *_ in named)
    }
    assert found["under_way"] == 1
    assert [d["order_id"] for d in found["for_operator"]] == ["asked"]
    elsewhere = next(d for d in found["differences"] if d["kind"] == "refunded_elsewhere")
    assert (elsewhere["transaction_id"], elsewhere["refund_id"]) == (transactions["refunded-there"], refund)

    told = payments(tmp_path, "reconcile", **shop)
    assert told.code == 1
    assert told.out.count("✗") == told.out.count("    to do: ") == len(found["found"])
    assert f"attempt 1 has captured 0, and the gateway 1000 ({transactions['part']})" in told.out
    assert told.out.splitlines()[-1] == "18 differences"


def _change_both_sides(shop: dict[str, str], client: Client) -> tuple[dict[str, str], str]:
    """Make a difference of each kind by hand; return every order's transaction, and a refund by somebody else."""

    def by_hand(order: str, amount: int, operation: str = HAND, **more: Any) -> str:
        metadata = {"metadata[order_id]": order, "metadata[operation_id]": operation}
        made = client.intent(amount=amount, **metadata, **more)
        assert made.status == 200, made.body
        return str(made.body["id"])

    with connected(shop["PAYMENTS_DATABASE_URL"]) as connection:
        transactions = dict(connection.execute("SELECT order_id, transaction_id FROM attempt").fetchall())

        def run(statement: str, *values: object) -> None:
            assert connection.execute(statement.encode(), values).rowcount == 1, statement

        amount = "UPDATE attempt SET {} WHERE order_id = %s"
        run(amount.format("captured_minor = 1"), "captured-row")
        run(amount.format("authorized_minor = 9999"), "authorized-row")
        run("UPDATE orders SET currency = 'USD' WHERE order_id = %s", "currency")
        run(amount.format("transaction_id = 'pi_gone'"), "gone")
        run(
            "UPDATE operation SET reference = 're_gone', operation_id = %s WHERE kind = 'refund' AND order_id = %s",
            HAND,
            "refund-gone",
        )
        run(
            amount.format(f"transaction_id = '{by_hand('declined', 900)}', authorized_minor = 900"),
            "declined",
        )
        run(
            "UPDATE operation SET state = 'unknown', due_at = now() WHERE kind = 'capture' AND order_id = %s",
            "under-way",
        )
        run(amount.format("captured_minor = 2"), "under-way")
        run("UPDATE operation SET state = 'unknown', due_at = NULL WHERE kind = 'capture' AND order_id = %s", "asked")
        run(amount.format("captured_minor = 2"), "asked")
        failing = client.post("/v1/refunds", {"payment_intent": transactions["refund-failed"]}).body["id"]
        run(amount.format(f"refunded_minor = 1250, refund_id = '{failing}'"), "refund-failed")
    by_hand("hold-unknown", 500)
    by_hand("nobody", 600)
    operation = operation_id(OrderId("twice"), 1, OperationKind.AUTHORIZE, 1)
    by_hand("twice", 700, str(operation), capture_method="automatic")
    by_hand("captured-row", 800, confirm="false")
    refund = client.post("/v1/refunds", {"payment_intent": transactions["refunded-there"], "amount": 100})
    client.post(f"/v1/payment_intents/{transactions['part']}/capture", {"amount_to_capture": 1000})
    client.post(f"/v1/payment_intents/{transactions['cancelled']}/cancel", {})
    eventually(lambda: client.get(f"/v1/refunds/{failing}").body["status"] == "failed", "the refund has failed")
    return transactions, str(refund.body["id"])


@pytest.mark.integration
def test_what_does_not_answer_ends_it_with_3(tmp_path: Path, places: dict[str, str]) -> None:
    nowhere = places | {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": NOBODY}
    unmigrated = payments(tmp_path, "reconcile", **nowhere)
    assert (unmigrated.code, "payments migrate" in unmigrated.err) == (3, True)
    assert payments(tmp_path, "migrate", **places).code == 0
    ran = payments(tmp_path, "reconcile", "--json", **nowhere)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert "Stripe does not answer" in ran.err
    no_database = nowhere | {"PAYMENTS_DATABASE_URL": "postgresql+psycopg://a:b@127.0.0.1:1/c"}
    assert payments(tmp_path, "reconcile", **no_database).code == 3


@pytest.mark.integration
def test_a_key_that_is_refused_ends_it_with_3(tmp_path: Path, shop: dict[str, str]) -> None:
    wrong = shop | {"PAYMENTS_GATEWAY": "stripe", "PAYMENTS_STRIPE_API_KEY": "sk_live_of_nobody"}
    ran = payments(tmp_path, "reconcile", **wrong)
    assert (ran.code, "PAYMENTS_STRIPE_API_KEY" in ran.err) == (3, True)


def test_wrong_usage_is_said(tmp_path: Path) -> None:
    ran = payments(tmp_path, "reconcile", "--since", "yesterday")
    assert (ran.code, "neither a time" in ran.err) == (2, True)


@pytest.mark.integration
def test_a_gateway_without_lists_is_a_wrong_setting(tmp_path: Path, deployment: dict[str, str]) -> None:
    ran = payments(tmp_path, "reconcile", **deployment)
    assert (ran.code, "PAYMENTS_GATEWAY" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90m", timedelta(minutes=90)),
        ("36h", timedelta(hours=36)),
        ("2d", timedelta(days=2)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_since_may_be_how_long_ago(text: str, ago: timedelta) -> None:
    before = now()
    assert before - ago <= Since().convert(text, None, None) <= now() - ago


def test_since_may_be_a_time_in_utc_or_with_an_offset_and_reaches_back_to_2011() -> None:
    def since(text: str) -> datetime:
        return Since().convert(text, None, None)

    assert since("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert since("2026-03-01T12:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert since("0001-01-01") == since("999999w") == datetime(2011, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2d3h", "-2d", "2999-01-01"])
def test_since_is_no_other_text_and_not_in_the_future(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Since().convert(text, None, None)


def test_the_text_names_twenty_of_a_kind_counts_all_and_shows_no_control_character() -> None:
    many = [Difference(Kind.CAPTURED, f"order-{n}", "red\x1b[31m") for n in range(25)]
    asked = [Difference(Kind.AUTHORIZED, "asked", "other")]
    found = Counter({Kind.CAPTURED: 2_000})
    lines = list(
        reconcile_lines(Reconciliation(datetime(2026, 3, 1, tzinfo=UTC), 9, 8, 7, 6, 0, 0, 5, found, many, asked))
    )
    assert lines[0].endswith("the captured amounts differ (captured, 2000):")
    assert lines[1:21] == [f"    order order-{n}: red\\x1b[31m" for n in range(20)]
    assert lines[21] == "    2000 in all; --json lists more"
    assert lines[23:] == [
        "1 difference of orders that wait for `payments order resolve`:",
        "    order asked: other",
        "compared 9 orders (8 attempts) with 7 transactions and 6 refunds since 2026-03-01 00:00 UTC",
        "5 orders are being worked on and not judged: run it again later",
        "2000 differences",
    ]


def test_every_kind_of_difference_says_what_to_do() -> None:
    assert set(MEANINGS) == set(Kind)
    assert all(meaning.meaning and meaning.todo for meaning in MEANINGS.values())

"""`payments order` and `payments stock`: what operators see."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.views.times import ago, later
from schemas.fields import LONG_MAX
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, retried, show, status_of
from tests.embedded.support import connected
from tests.processes import started

pytestmark = pytest.mark.integration

DECLINED = "pm_card_chargeDeclined"
PAID_WITH = "pm_card_mastercard"


def stock(directory: Path, environment: dict[str, str], *arguments: str) -> Any:
    ran = payments(directory, "stock", *arguments, "--json", **environment)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_an_order_that_is_retried_and_paid_is_told_from_end_to_end(tmp_path: Path, deployment: dict[str, str]) -> None:
    stock(tmp_path, deployment, "set", "tea", "3")
    with started(tmp_path, "up", **deployment) as up:
        publish(tmp_path, deployment, confirmed("order-1", DECLINED))
        up.eventually(lambda: status_of(deployment, "order-1") == "payment_failed", "declined")
        publish(tmp_path, deployment, retried("order-1", 1, PAID_WITH))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        publish(tmp_path, deployment, confirmed("order-2"))
        up.eventually(lambda: status_of(deployment, "order-2") == "payment_failed", "out of stock")
        publish(tmp_path, deployment, confirmed("order-2", quantity=1))
        up.eventually(lambda: show(tmp_path, deployment, "order-2")["dead_letters"], "a dead letter")
        assert up.stop() == 0

    order = show(tmp_path, deployment, "order-1")
    assert (order["order_id"], order["status"], order["version"]) == ("order-1", "paid_and_confirmed", 4)
    shown = [(a["attempt"], a["status"], a["failure_code"]) for a in order["attempts"]]
    assert shown == [(1, "payment_failed", "card_declined"), (2, "paid_and_confirmed", None)]
    operations = [(o["attempt"], o["kind"], o["state"], o["tries"], o["by"], o["reason"]) for o in order["operations"]]
    assert operations == [
        (1, "authorize", "declined", 1, None, None),
        (2, "authorize", "approved", 1, None, None),
        (2, "capture", "approved", 1, None, None),
    ]
    assert {"id", "reference", "request_id"} <= order["operations"][0].keys()
    assert [(e["version"], e["type"]) for e in order["events"]] == [
        (1, "PaymentFailed"),
        (1, "CustomerNotificationRequested"),
        (2, "PaymentAuthorized"),
        (3, "ItemsReserved"),
        (4, "PaidAndConfirmed"),
    ]
    assert {"event_id", "occurred_at", "causation_id"} <= order["events"][0].keys()
    assert order["events"][-1]["causation_id"] == order["events"][-2]["event_id"]
    assert order["events"][0]["data"]["failure_code"] == "card_declined"
    assert [d["reason"] for d in show(tmp_path, deployment, "order-2")["dead_letters"]] == ["conflict"]

    text = payments(tmp_path, "order", "show", "order-1", **deployment)
    assert (text.code, text.err) == (0, "")
    assert text.out.startswith("order-1  paid_and_confirmed  12.50 EUR\n")
    timeline = text.out.split("timeline\n")[1].splitlines()
    happened = [line[36:].split("  ")[0] + "|" + line for line in timeline]
    words = ("order received", "authorize declined", "PaymentFailed", "message logged", "capture approved", "PaidAnd")
    places = [next(n for n, line in enumerate(happened) if word in line) for word in words]
    assert places == sorted(places)
    assert [line[:23] for line in timeline] == sorted(line[:23] for line in timeline)
    for token in (DECLINED, PAID_WITH):
        assert token not in text.out + json.dumps(order) + up.log

    listed = json.loads(payments(tmp_path, "order", "list", "--limit", "1", "--json", **deployment).out)
    assert [o["order_id"] for o in listed["orders"]] == ["order-2"]
    assert listed["more"] is True
    paid = payments(tmp_path, "order", "list", "--status", "paid_and_confirmed", **deployment)
    assert [line.split()[0] for line in paid.out.splitlines()] == ["order", "order-1"]
    assert stock(tmp_path, deployment, "show")["stock"] == [
        {"sku": "tea", "available": 1, "reserved": 0, "sold": 2, "adjusted": 3}
    ]


def test_what_is_not_there_ends_with_1_and_a_wrong_status_with_2(tmp_path: Path, deployment: dict[str, str]) -> None:
    for arguments in (["order", "show", "nobody"], ["stock", "show", "nothing"]):
        ran = payments(tmp_path, *arguments, **deployment)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert payments(tmp_path, "order", "list", "--status", "lost", **deployment).code == 2
    assert payments(tmp_path, "stock", "set", "tea", "-1", **deployment).code == 2
    nothing = {"orders": [], "early": [], "more": False}
    assert json.loads(payments(tmp_path, "order", "list", "--json", **deployment).out) == nothing


NO_TEXT = "\udcff"
"""An argument of a byte that is no UTF-8, as a shell may pass it."""


def test_a_sku_that_no_order_can_name_is_refused(tmp_path: Path, deployment: dict[str, str]) -> None:
    for sku in ("", "s" * 65, "two\nlines"):
        ran = payments(tmp_path, "stock", "set", sku, "1", **deployment)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
        assert "1 to 64 characters" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["order", "show", NO_TEXT],
        ["order", "resolve", NO_TEXT, "--as", "executed", "--reason", "seen"],
        ["order", "resolve", "order-1", "--as", "executed", "--reason", f"seen {NO_TEXT}"],
        ["dlq", "list", "--order", NO_TEXT],
        ["dlq", "redrive", "--order", NO_TEXT],
        ["dlq", "pass", NO_TEXT, "0", "--from", "1", "--to", "1", "--reason", "spoilt"],
        ["stock", "set", NO_TEXT, "1"],
        ["stock", "show", NO_TEXT],
        [NO_TEXT],
    ],
)
def test_an_argument_that_is_no_text_is_refused_in_one_line(
    tmp_path: Path, deployment: dict[str, str], arguments: list[str]
) -> None:
    ran = payments(tmp_path, *arguments, **deployment)
    number = next(n for n, argument in enumerate(arguments, 1) if NO_TEXT in argument)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert ran.err.startswith(f"payments: argument {number} is not UTF-8 (")


def test_control_characters_of_others_are_shown_and_never_reach_the_terminal(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO orders (order_id, status, version, attempt, customer_id, correlation_id, currency,"
            " total_minor, lines, content_hash, retryable, review_reason, reviewed, delay_notified, resends,"
            " created_at, updated_at, order_number)"
            " VALUES (%(id)s, 'manual_review', 1, 1, %(esc)s, 'c', 'EUR', 5, %(lines)s, '', false, %(esc)s,"
            " 'confirmed', false, 0, now(), now(), 1)",
            {"id": "order\x1b[2J", "esc": "red\x1b[31m\x9b\u202e", "lines": json.dumps([["tea\x1b[1m", 1]])},
        )
    for arguments in (["show", "order\x1b[2J"], ["list"], ["list", "--json"], ["show", "order\x1b[2J", "--json"]):
        ran = payments(tmp_path, "order", *arguments, **deployment)
        assert ran.code == 0, ran.err
        assert all(character.isprintable() or character == "\n" for character in ran.out), repr(ran.out)
    text = payments(tmp_path, "order", "show", "order\x1b[2J", **deployment).out
    assert "order\\x1b[2J" in text
    assert "red\\x1b[31m\\x9b\\u202e" in text
    assert "1 x tea\\x1b[1m" in text
    wrong = payments(tmp_path, "order", "show", "nobody\x1b[31m", **deployment)
    assert (wrong.code, "nobody\\x1b[31m" in wrong.err, "\x1b" in wrong.err) == (1, True, False)


def test_an_order_in_a_currency_that_is_gone_hides_no_other(tmp_path: Path, deployment: dict[str, str]) -> None:
    gone = ["ANG", "BGN", "DEM", "", "red\x1b[31m"]
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        for number, currency in enumerate(["EUR", *gone], start=1):
            connection.execute(
                "INSERT INTO orders (order_id, status, version, attempt, customer_id, correlation_id, currency,"
                " total_minor, lines, content_hash, retryable, delay_notified, resends, created_at, updated_at,"
                " order_number) VALUES (%s, 'payment_failed', 1, 1, 'c', 'c', %s, 1250, '[[\"tea\", 1]]', '', false,"
                " false, 0, now(), now(), %s)",
                [f"order-{number}", currency, number],
            )
    listed = payments(tmp_path, "order", "list", **deployment)
    assert (listed.code, len(listed.out.splitlines())) == (0, 2 + len(gone)), listed.err
    for text in ("12.50 EUR", "12.50 ANG", "12.50 BGN", "1250 minor units of DEM", "minor units of red\\x1b[31m"):
        assert text in listed.out
    for number in range(1, 2 + len(gone)):
        shown = payments(tmp_path, "order", "show", f"order-{number}", **deployment)
        assert shown.code == 0, shown.err
        assert "1250 minor units" in shown.out or "12.50 " in shown.out
        assert "\x1b[31m" not in shown.out
    assert payments(tmp_path, "order", "list", "--json", **deployment).code == 0


def test_no_more_units_of_a_sku_than_can_be_counted(tmp_path: Path, deployment: dict[str, str]) -> None:
    assert payments(tmp_path, "stock", "set", "tea", str(10**12 + 1), **deployment).code == 2
    assert stock(tmp_path, deployment, "set", "tea", str(10**12))["available"] == 10**12
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE stock SET available = 0, reserved = 7, sold = %s", [LONG_MAX - 12])
    ran = payments(tmp_path, "stock", "set", "tea", "6", **deployment)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert f"SKU tea has 7 units reserved and {LONG_MAX - 12} sold: at most 5 can be available" in ran.err
    assert stock(tmp_path, deployment, "set", "tea", "5")["available"] == 5


def test_setting_stock_records_the_difference_and_who_made_it(tmp_path: Path, deployment: dict[str, str]) -> None:
    first = stock(tmp_path, deployment, "set", "tea", "10")
    assert first == {"sku": "tea", "available": 10, "reserved": 0, "sold": 0, "delta": 10}
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE stock SET available = 4, reserved = 1, sold = 5")
    assert stock(tmp_path, deployment, "set", "tea", "7")["delta"] == 3
    assert stock(tmp_path, deployment, "set", "tea", "7")["delta"] == 0
    assert stock(tmp_path, deployment, "set", "tea", "0")["delta"] == -7
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        recorded = connection.execute('SELECT delta, "by" FROM stock_adjustment ORDER BY id').fetchall()
    assert [delta for delta, _ in recorded] == [10, 3, -7]
    assert all(by for _, by in recorded)
    (row,) = stock(tmp_path, deployment, "show")["stock"]
    assert row["adjusted"] == row["available"] + row["reserved"] + row["sold"] == 6


def test_times_are_written_as_people_say_them() -> None:
    passed = [timedelta(seconds=0.0571), timedelta(seconds=123), timedelta(minutes=62), timedelta(days=3, hours=4)]
    assert [later(each) for each in passed] == ["+0.057 s", "+2 min 03 s", "+1 h 02 min", "+3 d 04 h"]
    assert [ago(each) for each in passed] == ["just now", "2 minutes ago", "1 hour ago", "3 days ago"]

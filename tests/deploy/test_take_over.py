"""A copy of the database from amid a run, as a backup is, is brought to what the topics say: all is as it was."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import pytest

from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, retried, status_of
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.processes import started
from tests.sandbox.process import running as running_gateway
from tests.servers.databases import database_of, fresh_database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SAME: Final[dict[str, LiteralString]] = {
    "orders": """
        SELECT order_id, customer_id, correlation_id, currency, total_minor, lines, content_hash, confirmed_at, status,
               version, attempt, retryable, retry_until, reviewed, review_reason, missing, requests, paid_at
          FROM orders ORDER BY 1""",
    "attempt": """
        SELECT order_id, attempt, method_kind, token, CASE WHEN authorized_minor > 0 THEN transaction_id END,
               authorized_minor, captured_minor, refunded_minor, voided, livemode, refund_id, failure_code, captured_at
          FROM attempt ORDER BY 1, 2""",
    "reservation": "SELECT order_id, attempt, reservation_id, state, expires_at, pinned FROM reservation ORDER BY 1, 2",
    "operation": """
        SELECT order_id, attempt, kind, try_number, for_request, operation_id, reaction, causation_id, amount_minor,
               state, CASE WHEN state = 'approved' THEN transaction_id END, reference, frozen
          FROM operation ORDER BY 1, 2, 3, 4, 5""",
    "order_request": """
        SELECT order_id, request_id, kind, state, amount_minor, taken_minor, returned_minor, content_hash
          FROM order_request ORDER BY 1, 2""",
    "event": """
        SELECT event_id, order_id, order_version, ordinal, topic, body, occurred_at, causation_id
          FROM event ORDER BY 1""",
    "stock": "SELECT sku, available, reserved, sold FROM stock ORDER BY 1",
    "outbox": "SELECT event_ids FROM outbox",
}
"""By table, all that must be as before the loss. Left out: our own numbers, times of steps that say nothing, and the
gateway's id of a payment that was declined."""


def refund(order_id: str, amount: int) -> dict[str, Any]:
    return {
        "type": "RefundRequested",
        "order_id": order_id,
        "request_id": "refund-1",
        "amount_minor": amount,
        "lines": [{"sku": "tea", "quantity": 1}],
        "reason": "a cup was broken",
        "requested_by": "the shop",
    }


def cancel(order_id: str) -> dict[str, Any]:
    return {
        "type": "OrderCancelRequested",
        "order_id": order_id,
        "request_id": "cancel-1",
        "reason": "changed my mind",
        "requested_by": "the customer",
    }


@contextmanager
def running(folder: Path, settings: dict[str, str], **orders: str) -> Iterator[None]:
    """Run the pipeline until these orders have these statuses and all is at rest."""
    with started(folder, "up", **settings) as up:
        up.await_line("running")
        yield
        for order_id, status in orders.items():
            eventually(
                lambda i=order_id, s=status: status_of(settings, i) == s,  # type: ignore[misc]
                lambda i=order_id: f"{i}: {status_of(settings, i)}",  # type: ignore[misc]
            )
        audited = payments(folder, "audit", "--wait", "60", **settings)
        assert audited.code == 0, audited.out + audited.err
        assert up.stop() == 0


def tables(settings: dict[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    with connected(settings["PAYMENTS_DATABASE_URL"]) as connection:
        return {name: connection.execute(query).fetchall() for name, query in SAME.items()}


def applied(ran: Ran) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ran.out)["applied"]
    return document


def test_a_restored_database_is_brought_to_what_the_topics_say_and_goes_on(
    tmp_path: Path, deployment: dict[str, str], database_server_url: str
) -> None:
    with running_gateway(tmp_path / "sandbox.jsonl") as sandbox:
        there = deployment | {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}
        assert payments(tmp_path, "stock", "set", "tea", "50", **there).code == 0
        with running(tmp_path, there, paid="paid_and_confirmed", retried="payment_failed", later="paid_and_confirmed"):
            publish(tmp_path, there, confirmed("paid"), confirmed("retried", "pm_card_chargeDeclined"))
            publish(tmp_path, there, confirmed("later"), confirmed("kept"))
        with fresh_database(database_server_url, database_of(there["PAYMENTS_DATABASE_URL"])) as backup:
            endings = {"new": "paid_and_confirmed", "retried": "paid_and_confirmed", "later": "cancelled"}
            with running(tmp_path, there, short="payment_failed", declined="payment_failed", **endings):
                publish(tmp_path, there, confirmed("new"), confirmed("short", quantity=99), retried("retried", 1))
                publish(tmp_path, there, confirmed("declined", "pm_card_chargeDeclined"), cancel("later"))
                publish(tmp_path, there, refund("paid", 300))
                eventually(lambda: _refunded(there, "paid") == 300, "the refund is made")
            restored = there | {"PAYMENTS_DATABASE_URL": backup}
            before = payments(tmp_path, "audit", "--rebuild", "--json", **restored)
            assert (before.code, json.loads(before.out)["rebuild"]["differ"]) == (1, 6)

            taken = payments(tmp_path, "audit", "--rebuild", "--apply", "--json", **restored)

            assert taken.code == 0, taken.out + taken.err
            assert applied(taken)["orders"] == 6
            assert applied(taken)["left"] == []
            assert tables(restored) == tables(there)
            _does_nothing_again(tmp_path, restored)
            since = "2020-01-01T00:00:00Z"
            assert payments(tmp_path, "offsets", "rewind", "--to", since, "--force", **restored).code == 0
            calls = len((tmp_path / "sandbox.jsonl").read_text("utf-8").splitlines())
            with running(tmp_path, restored, after="paid_and_confirmed"):
                publish(tmp_path, restored, confirmed("after"))
            said = tables(restored)
            assert [row for row in said["event"] if row[1] != "after"] == tables(there)["event"], "nothing is said anew"
            assert len((tmp_path / "sandbox.jsonl").read_text("utf-8").splitlines()) > calls, "only for the new order"
            for command in (("audit", "--topics"), ("audit", "--rebuild")):
                audited = payments(tmp_path, *command, "--wait", "60", **restored)
                assert audited.code == 0, audited.out + audited.err


def _does_nothing_again(folder: Path, settings: dict[str, str]) -> None:
    again = applied(payments(folder, "audit", "--rebuild", "--apply", "--json", **settings))
    assert (again["orders"], again["events"], again["inbox"], again["begun"]) == (0, 0, 0, 0)


def _refunded(settings: dict[str, str], order_id: str) -> int:
    with connected(settings["PAYMENTS_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT sum(refunded_minor) FROM attempt WHERE order_id = %s", [order_id]).fetchone()
    return int(row[0] or 0) if row else 0


def test_nothing_is_taken_over_while_a_process_of_ours_works(tmp_path: Path, deployment: dict[str, str]) -> None:
    with started(tmp_path, "relay", **deployment) as relay:
        relay.await_line("running")
        refused = payments(tmp_path, "audit", "--rebuild", "--apply", **deployment)
        assert refused.code == 1
        assert "nothing was taken over" in refused.err
        assert "Stop `payments consume`, `relay`" in refused.err
        assert relay.stop() == 0
    with started(tmp_path, "consume", "OrderConfirmed", **deployment) as consume:
        consume.await_line("running")
        refused = payments(tmp_path, "audit", "--rebuild", "--apply", **deployment)
        assert refused.code == 1
        assert "have members" in refused.err
        assert consume.stop() == 0


def test_apply_belongs_to_rebuild(tmp_path: Path, deployment: dict[str, str]) -> None:
    refused = payments(tmp_path, "audit", "--apply", **deployment)
    assert refused.code == 2
    assert "--apply belong to --rebuild" in refused.err

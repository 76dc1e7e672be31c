"""Causes that stay until somebody mends them: dead letters, quarantine, reviews, given-up messages, a broken book."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tests.alerts.running.case import Case
from tests.alerts.running.place import Place
from tests.alerts.running.watching import fires, wait
from tests.chaos import messages
from tests.chaos.clock import unix_micros
from tests.chaos.script import NO_FUNDS, PLAIN, SCARCE, SHORT_REFUNDED, Kind

DONE_S: Final = 240.0
NOBODY: Final = "customer-without-address"
WHY: Final = ("--reason", "a test of the alerts")
REFUND_FAILS: Final = Kind("the refund fails", 1, ("pm_fault_refund_fails_later",), (SHORT_REFUNDED,), SCARCE)
DECLINED: Final = Kind("declined: no funds", 1, ("pm_card_chargeDeclinedInsufficientFunds",), (NO_FUNDS,))


@contextmanager
def noise(place: Place) -> Iterator[None]:
    """Publish what is no event, under the key of an order."""
    (order,) = place.script.more("noise", 1, (PLAIN,))
    place.shop.outlet.send(replace(messages.confirmed(order, unix_micros()), value=b"this is not Avro"))
    query = "SELECT id FROM dead_letter WHERE redriven_at IS NULL AND reason = 'undecodable'"
    try:
        yield
    finally:
        for (letter_id,) in place.rows(query):
            place.command("dlq", "give-up", str(letter_id), *WHY)


@contextmanager
def customer_without_address(place: Place) -> Iterator[None]:
    """Decline an order of a customer whom the directory does not have."""
    place.publish(DECLINED, customer_id=NOBODY)
    try:
        yield
    finally:
        with place.customers.open("a", encoding="utf-8") as file:
            file.write(f"{NOBODY},nobody@shop.example\n")
        place.command("messages", "retry", "--all-given-up", *WHY)


@contextmanager
def under_review(place: Place) -> Iterator[None]:
    """Have a refund fail, so that an order waits for a person."""
    (order_id,) = place.publish(REFUND_FAILS)
    assert wait(lambda: place.status(order_id) == "manual_review", DONE_S), place.status(order_id)
    try:
        yield
    finally:
        given = ("--as", "executed", "--reference", "outside:by-hand")
        place.command("order", "resolve", order_id, *given, *WHY)


@contextmanager
def book_broken(place: Place) -> Iterator[None]:
    """Write another amount into the books of an order that has just been paid."""
    with audit_kept_waiting(place):
        # So that it is not judged before it is spoilt: an audit looks at an order once for each change.
        (order_id,) = place.publish(PLAIN)
        assert wait(lambda: place.status(order_id) == "paid_and_confirmed", DONE_S), place.status(order_id)
        place.rows("UPDATE attempt SET captured_minor = captured_minor + 1 WHERE order_id = %s", order_id)
    try:
        yield
    finally:
        place.rows("UPDATE attempt SET captured_minor = captured_minor - 1 WHERE order_id = %s", order_id)


@contextmanager
def audit_kept_waiting(place: Place) -> Iterator[None]:
    """Hold a lock on the table of the audit's runs, as a session does that forgot to commit."""
    with place.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE audit_run IN EXCLUSIVE MODE")
        yield


CASES: Final = (
    Case(
        "an order waits for a person",
        (fires("PaymentsReviewsOld", reason="review_refund_failed"),),
        under_review,
        early=True,
    ),
    Case(
        "bytes that are no event lie on a topic",
        (fires("PaymentsDeadLetters", event="OrderConfirmed", reason="undecodable"),),
        noise,
    ),
    Case("a customer has no address", (fires("PaymentsMessagesGivenUp"),), customer_without_address),
    Case(
        "a row of the books is spoilt",
        (fires("PaymentsAuditFindings", invariant="1"),),
        book_broken,
        frozenset({"PaymentsAuditOld"}),
    ),
    Case(
        "a session keeps the audit waiting",
        (fires("PaymentsAuditOld"),),
        audit_kept_waiting,
        frozenset({"PaymentsAlarmPage"}),
    ),
)

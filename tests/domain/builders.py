"""Orders, attempts, operations, holds and contexts with defaults, for tests: say only what the test is about.

The order is the one of tests.schemas.builders: 30.80 EUR, two SKUs. Times are relative to AT.
"""

from datetime import datetime, timedelta
from typing import Any

from domain.content import content_hash
from domain.ids import EventId, OrderId
from domain.operation import Operation, OperationKind, operation_id
from domain.order import Attempt, Hold, HoldState, Order, OrderLine, Status, reservation_id
from domain.requests import Request, RequestKind
from domain.rules import Context, Rules
from tests.schemas import builders as events

AT = events.AT
ORDER_ID = OrderId("order-1")
TOTAL = 3_080
CAUSE = EventId(events.event_id("the trigger"))
RULES = Rules()
CONTENT = content_hash(events.order_confirmed())
"""Made once: the walks build hundreds of thousands of orders."""


def later(seconds: float) -> datetime:
    """Return the moment this many seconds after AT."""
    return AT + timedelta(seconds=seconds)


def context(at: datetime = AT, **rules: Any) -> Context:
    return Context(at, CAUSE, Rules(**rules))


def attempt(number: int = 1, **overrides: Any) -> Attempt:
    """Build an attempt for which nothing has happened yet."""
    fields: dict[str, Any] = {"number": number, "method_kind": "CARD", "token": f"pm_{number}"}
    return Attempt(**(fields | overrides))


def authorized(number: int = 1, **overrides: Any) -> Attempt:
    """Build an attempt for which the issuer holds the whole amount for us."""
    fields: dict[str, Any] = {"transaction_id": f"pi_{number}", "authorized_minor": TOTAL, "token": None}
    return attempt(number, **(fields | overrides))


def captured(number: int = 1, **overrides: Any) -> Attempt:
    """Build an attempt of which we have taken the whole amount."""
    fields: dict[str, Any] = {"captured_minor": TOTAL, "captured_at": AT}
    return authorized(number, **(fields | overrides))


def hold(number: int = 1, **overrides: Any) -> Hold:
    """Build a hold for a quarter of an hour from AT."""
    fields: dict[str, Any] = {
        "reservation_id": reservation_id(ORDER_ID, number),
        "attempt": number,
        "state": HoldState.HELD,
        "expires_at": later(900),
    }
    return Hold(**(fields | overrides))


def operation(kind: OperationKind, number: int = 1, **overrides: Any) -> Operation:
    """Build an open operation under a lease, opened at AT."""
    fields: dict[str, Any] = {
        "operation_id": operation_id(ORDER_ID, number, kind, 1),
        "order_id": ORDER_ID,
        "attempt": number,
        "kind": kind,
        "try_number": 1,
        "reaction": "authorize_payment",
        "causation_id": CAUSE,
        "amount_minor": TOTAL,
        "currency": "EUR",
        "opened_at": AT,
        "due_at": later(RULES.lease_s),
        "transaction_id": None if kind is OperationKind.AUTHORIZE else f"pi_{number}",
    }
    return Operation(**(fields | overrides))


def request(request_id: str = "R-1", arrival: int = 1, **overrides: Any) -> Request:
    """Build a refund of 10.00 that somebody asked for at AT, and that waits."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "kind": RequestKind.REFUND,
        "arrival": arrival,
        "content_hash": request_id.encode(),
        "noted_at": AT,
        "reason": "damaged",
        "requested_by": "agent-7",
        "causation_id": CAUSE,
        "amount_minor": 1_000,
    }
    return Request(**(fields | overrides))


def order(status: Status = Status.CONFIRMED, *attempts: Attempt, **overrides: Any) -> Order:
    """Build the order of events.order_confirmed(), at its last attempt, at version 3."""
    tries = attempts or (attempt(),)
    fields: dict[str, Any] = {
        "order_id": ORDER_ID,
        "customer_id": "customer-1",
        "correlation_id": "correlation of order-1",
        "currency": "EUR",
        "total_minor": TOTAL,
        "lines": (OrderLine("SKU-1", 2), OrderLine("SKU-2", 1)),
        "content_hash": CONTENT,
        "status": status,
        "version": 3,
        "attempt": len(tries),
        "created_at": AT,
        "attempts": tries,
    }
    return Order(**(fields | overrides))

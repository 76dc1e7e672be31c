"""An order as one JSON document, in the shape of CONTRACT, with fields of our own behind."""

from collections.abc import Sequence
from typing import Any

from deploy.views.timeline import JournalEvent
from domain.order import Status
from outbox.operators.queries import OrderRows, Record

ORDER = (
    "customer_id",
    "correlation_id",
    "currency",
    "total_minor",
    "attempt",
    "retryable",
    "retry_until",
    "review_reason",
    "paid_at",
    "preparation_started_at",
    "created_at",
    "updated_at",
)
ATTEMPT = (
    "transaction_id",
    "failure_code",
    "method_kind",
    "authorized_minor",
    "captured_minor",
    "refunded_minor",
    "voided",
    "refund_id",
    "authorization_expires_at",
    "captured_at",
    "action_expires_at",
    "livemode",
)
DISPUTE = (
    "dispute_id",
    "attempt",
    "status",
    "amount_minor",
    "currency",
    "reason",
    "funds_withdrawn",
    "refundable",
    "opened_at",
    "closed_at",
    "looked_at",
)
REQUEST = (
    "request_id",
    "kind",
    "state",
    "refused",
    "reason",
    "requested_by",
    "operator",
    "amount_minor",
    "taken_minor",
    "approved_by",
    "noted_at",
    "approved_at",
    "taken_at",
    "ended_at",
    "causation_id",
)
OPERATION = (
    "attempt",
    "kind",
    "state",
    "reference",
    "tries",
    "by",
    "reason",
    "request_id",
    "transaction_id",
    "amount_minor",
    "currency",
    "opened_at",
    "settled_at",
    "due_at",
    "unknown_since",
    "detail",
    "causation_id",
)

NOTIFICATION = (
    "event_id",
    "kind",
    "text",
    "occurred_at",
    "recorded_at",
    "stale",
    "sent_at",
    "state",
    "tries",
    "error",
)
"""state: of the message; null if it is none, for the notifier is the log, or it was sent long ago."""


def order_document(stored: OrderRows, events: Sequence[JournalEvent]) -> dict[str, Any]:
    """Return the document of `payments order show --json`."""
    order = stored.order
    return {
        "order_id": order["order_id"],
        "status": order["status"],
        "version": order["version"],
        **_some(order, ORDER),
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in order["lines"]],
        "attempts": [
            {"attempt": row["attempt"], "status": attempt_status(order, row), **_some(row, ATTEMPT)}
            for row in stored.attempts
        ],
        "operations": [{"id": row["operation_id"], **_some(row, OPERATION)} for row in stored.operations],
        "events": [_event(each, stored.unsent) for each in events],
        "reservations": [
            _some(row, ("reservation_id", "attempt", "state", "expires_at", "pinned")) for row in stored.holds
        ],
        "notifications": [_some(row, NOTIFICATION) for row in stored.notifications],
        "resolutions": [
            _some(row, ("at", "by", "word", "reference", "reason", "review_reason")) for row in stored.resolutions
        ],
        "disputes": [_some(row, DISPUTE) for row in stored.disputes],
        "requests": [
            {**_some(row, REQUEST), "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in row["lines"]]}
            for row in stored.requests
        ],
        "told": [_some(row, ("received_at", "type", "object_id", "fate")) for row in stored.told],
        "dead_letters": [
            _some(row, ("consumer_group", "topic", "partition", "message_offset", "reason", "detail", "first_at"))
            for row in stored.dead_letters
        ],
    }


def attempt_status(order: Record, attempt: Record) -> str:
    """Return an attempt's status, in the words of orders: the current one has its order's, older ones have failed."""
    return str(order["status"] if attempt["attempt"] == order["attempt"] else Status.PAYMENT_FAILED.value)


def _event(event: JournalEvent, unsent: frozenset[int]) -> dict[str, Any]:
    row = event.row
    return {
        "event_id": row["event_id"],
        "type": event.type,
        "occurred_at": row["occurred_at"],
        "version": row["order_version"],
        "causation_id": row["causation_id"],
        "ordinal": row["ordinal"],
        "sent": row["id"] not in unsent,
        "data": event.data,
    }


def _some(row: Record, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}

"""What upstream publishes: orders, retries, cancels, refund requests, the begin of the preparation.

Bodies are written by the .avsc files alone (tests/chaos/avro.py).
"""

import random
from typing import Any, Final
from uuid import UUID

from tests.chaos import avro
from tests.chaos.clock import unix_micros
from tests.chaos.messages import Message, What, described
from tests.minds.script import VISA, Order, method

ORDER, RETRY = "OrderConfirmed", "PaymentRetryRequested"
CANCEL, PREPARATION, REFUND = "OrderCancelRequested", "PreparationStarted", "RefundRequested"
UPSTREAM: Final = (ORDER, RETRY, CANCEL, PREPARATION, REFUND)


def event_id(*about: object) -> str:
    """Return an event id that follows from what the event is about."""
    number = random.Random(" ".join(str(part) for part in about)).getrandbits(128)
    return str(UUID(int=number, version=4))


def confirmed(order: Order) -> Message:
    """Say the order as checkout does."""
    return _message(ORDER, order.order_id, str(order.fields["event_id"]), order.fields)


def retry(order: Order, after_attempt: int) -> Message:
    """Say that the customer pays again, with the next method of the script, or once more with the last one."""
    tokens = order.kind.tokens or (VISA,)
    token = tokens[min(after_attempt, len(tokens) - 1)]
    said = event_id(order.order_id, "retry after", after_attempt)
    return _about(RETRY, order, said, after_attempt=after_attempt, payment_method=method(token))


def cancel(order: Order, request_id: str, *, reason: str = "changed my mind", copy: int = 0) -> Message:
    """Ask to cancel. copy: another message that asks for the same."""
    said = event_id(order.order_id, "cancel", request_id, reason, copy)
    fields = {"request_id": request_id, "reason": reason, "requested_by": "the customer"}
    return _about(CANCEL, order, said, request_id, **fields)


def preparation(order: Order) -> Message:
    """Say that somebody has begun to pack."""
    return _about(PREPARATION, order, event_id(order.order_id, "preparation"))


def refund(
    order: Order,
    request_id: str,
    amount_minor: int | None,
    lines: dict[str, int] | None = None,
    *,
    reason: str = "broken",
    copy: int = 0,
) -> Message:
    """Ask for money back. lines: units by SKU that are back, too. copy: another message that asks for the same."""
    units = [{"sku": sku, "quantity": quantity} for sku, quantity in (lines or {}).items()]
    said = event_id(order.order_id, "refund", request_id, amount_minor, reason, copy)
    fields = {"request_id": request_id, "amount_minor": amount_minor, "reason": reason, "lines": units}
    return _about(REFUND, order, said, request_id, **fields, requested_by="the service desk")


def _about(event_type: str, order: Order, said: str, title: str = "", **fields: Any) -> Message:
    common = {"event_id": said, "order_id": order.order_id, "correlation_id": order.fields["correlation_id"]}
    return _message(event_type, order.order_id, said, {**common, "causation_id": None, **fields}, title)


def _message(event_type: str, order_id: str, said: str, fields: dict[str, Any], title: str = "") -> Message:
    body = avro.encode(event_type, {**fields, "occurred_at": unix_micros()})
    headers = described(event_type, said, order_id)
    return Message(What.ORDER, event_type, order_id, order_id.encode(), body, headers, said, title=title)

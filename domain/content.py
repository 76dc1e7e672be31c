"""Hashes of the content of messages. Two messages with one event id and different content are a conflict."""

import hashlib
from typing import Final

from schemas.events import Event, OrderConfirmed, PaymentMethod, PaymentRetryRequested, UpstreamEvent

_OF_THE_MESSAGE: Final = {"event_id", "occurred_at", "correlation_id", "causation_id"}
INBOX_BYTES: Final = 8
"""The inbox keeps so many bytes of a hash. Two different contents are taken for equal once in 2^64 cases."""


def content_hash(event: OrderConfirmed) -> bytes:
    """Hash (SHA-256) an OrderConfirmed: all fields but the ids, the time and the correlation of the event."""
    method = event.payment_method
    content = (
        event.order_id,
        event.customer_id,
        event.currency,
        tuple([(line.sku, line.quantity, line.unit_price_minor) for line in event.lines]),
        (event.discount_minor, event.delivery_fee_minor, event.service_fee_minor, event.tax_minor, event.total_minor),
        None if method is None else _of_method(method),
    )
    return hashlib.sha256(repr(content).encode()).digest()


def hash_content(event: Event, body: bytes) -> bytes:
    """Hash (SHA-256) the content that two messages with one event id must share, with the order id.

    Upstream may publish the same event again with another time or encoding, so we hash its fields. An event of ours
    always has the same bytes, so we hash its body.
    """
    if not isinstance(event, UpstreamEvent):
        return hashlib.sha256(body).digest()
    if isinstance(event, OrderConfirmed):
        return content_hash(event)
    if isinstance(event, PaymentRetryRequested):
        content = (event.order_id, event.after_attempt, *_of_method(event.payment_method))
        return hashlib.sha256(repr(content).encode()).digest()
    return hashlib.sha256(event.model_dump_json(exclude=_OF_THE_MESSAGE).encode()).digest()


def _of_method(method: PaymentMethod) -> tuple[object, ...]:
    """Return what is hashed of a method. What came with 0.2 enters only if it is set, for hashes are stored."""
    known = (str(method.kind), method.token)
    if method.gateway_customer_id is None and not method.off_session:
        return known
    return (*known, method.gateway_customer_id, method.off_session)


def inbox_content(content: bytes) -> int:
    """Return the part of a hash that the inbox keeps: its first 8 bytes, as a signed number."""
    return int.from_bytes(content[:INBOX_BYTES], "big", signed=True)

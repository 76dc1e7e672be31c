"""What makes two messages the same, whatever their ids: two with one event id and other content conflict."""

import hashlib
from typing import Final

from schemas.events import Event, OrderConfirmed, PaymentRetryRequested

INBOX_BYTES: Final = 8
"""So much of a hash the inbox keeps: two contents of one event id are taken for the same once in 2^64."""


def content_hash(event: OrderConfirmed) -> bytes:
    """Hash (SHA-256) what makes two OrderConfirmed the same: all fields but ids, time and correlation of the event."""
    method = event.payment_method
    content = (
        event.order_id,
        event.customer_id,
        event.currency,
        tuple((line.sku, line.quantity, line.unit_price_minor) for line in event.lines),
        (event.discount_minor, event.delivery_fee_minor, event.service_fee_minor, event.tax_minor, event.total_minor),
        None if method is None else (str(method.kind), method.token),
    )
    return hashlib.sha256(repr(content).encode()).digest()


def same_content(event: Event, body: bytes) -> bytes:
    """Hash (SHA-256) what two messages with one event id must share, the order id included.

    Upstream may publish the same again with another time, or encode it in another way, so its fields are hashed. An
    event of ours has the same bytes for ever, so its body is.
    """
    if isinstance(event, OrderConfirmed):
        return content_hash(event)
    if isinstance(event, PaymentRetryRequested):
        method = event.payment_method
        content = (event.order_id, event.after_attempt, str(method.kind), method.token)
        return hashlib.sha256(repr(content).encode()).digest()
    return hashlib.sha256(body).digest()


def inbox_content(content: bytes) -> int:
    """Return what the inbox keeps of a hash: its first 8 bytes, as a signed number."""
    return int.from_bytes(content[:INBOX_BYTES], "big", signed=True)

"""Stripe's events as notices: the signature of a webhook, and the few fields that we take from an event.

Source of the scheme: docs.stripe.com/webhooks/signature, and `WebhookSignature` of the SDK 16.1.0.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from domain.ids import OperationId, OrderId
from domain.notices import REFUND, TYPES, UNASKED, Notice

SIGNATURE_HEADER: Final = "Stripe-Signature"
HEADER_MAX: Final = 4096
SIGNATURES_MAX: Final = 16
"""Stripe signs with every active secret of an endpoint: two while a secret is changed."""

_WITHOUT_METADATA: Final = frozenset({*UNASKED, *REFUND})
_ID: Final = re.compile(r"[!-~]{1,255}")
_ORDER_ID: Final = re.compile(r"[!-~]{1,64}")
"""As schemas.fields.OrderIdText."""
_TIME: Final = re.compile(r"[0-9]{1,12}")


class Forged(ValueError):  # noqa: N818 - its name says what is wrong
    """The body has no valid signature of ours. The text says why, and quotes neither body nor signature."""


class TooOld(Forged):
    """The time-stamp is too far from our clock: the body may be a copy of an old one, or a clock is wrong."""


class Unreadable(ValueError):  # noqa: N818 - its name says what is wrong
    """The body is no event of Stripe's."""


def check_signature(body: bytes, header: str, secrets: Sequence[bytes], now_s: float, tolerance_s: float) -> None:
    """Raise Forged unless one of the secrets signed this body; TooOld if it says a time beyond the tolerance from now.

    header: `t=...,v1=...`, with one v1 or several. now_s: Unix seconds. The body is the raw one: to read and to write
    JSON again changes it. Signatures are compared in constant time.
    """
    time, given = _parts(header)
    # Before the comparison: a time is public, and an old one says nothing of the secret.
    if abs(now_s - int(time)) > tolerance_s:
        raise TooOld("the time-stamp is outside the tolerance")
    signed = time.encode() + b"." + body
    right = [hmac.new(secret, signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    # Every pair is compared, so that the time taken does not say which was right.
    if not sum(hmac.compare_digest(one, other) for one in right for other in given):
        raise Forged("no signature of ours")


def sign(body: bytes, secret: bytes, at_s: int) -> str:
    """Return the header for a body, as Stripe makes it."""
    mac = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={mac}"


def read_event(body: bytes) -> Notice | None:
    """Return the notice of a webhook's body; None for an event that is not ours. Raises Unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable("no JSON") from error
    return notice_of(event)


def notice_of(event: Any) -> Notice | None:
    """Return the notice of an event; None if we take no events of its type, or it is not about an order of ours.

    An object is ours if its metadata has our operation's id. Disputes, fraud warnings and refunds of somebody else have
    no metadata of ours: they are taken if they name a PaymentIntent. Raises Unreadable.
    """
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise Unreadable("no event")
    if event["type"] not in TYPES:
        return None
    try:
        thing = event["data"]["object"]
        metadata = thing.get("metadata") or {}
        order_id, operation_id = _ours(metadata)
        intent_id = thing["id"] if thing["object"] == "payment_intent" else thing.get("payment_intent")
        if order_id is None and (event["type"] not in _WITHOUT_METADATA or intent_id is None):
            return None
        return Notice(
            notice_id=_id(event["id"]),
            type=event["type"],
            occurred_at=datetime.fromtimestamp(event["created"], UTC),
            object_id=_id(thing["id"]),
            intent_id=None if intent_id is None else _id(intent_id),
            order_id=order_id,
            operation_id=operation_id,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise Unreadable("an event without the fields that we need") from error


def _ours(metadata: Mapping[str, Any]) -> tuple[OrderId | None, OperationId | None]:
    """Return the ids that we gave the object; None for both if one is missing or is no id of ours."""
    order_id, operation_id = metadata.get("order_id"), metadata.get("operation_id")
    if not isinstance(order_id, str) or not isinstance(operation_id, str) or not _ORDER_ID.fullmatch(order_id):
        return None, None
    try:
        return OrderId(order_id), OperationId(UUID(operation_id))
    except ValueError:
        return None, None


def _parts(header: str) -> tuple[str, list[bytes]]:
    """Return the time and the signatures of scheme v1. Other schemes are passed over, as Stripe asks."""
    if len(header) > HEADER_MAX:
        raise Forged("the signature's header is too long")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value.encode("utf-8", "replace") for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]) or not 0 < len(given) <= SIGNATURES_MAX:
        raise Forged("no time or no signature in the header")
    return times[0], given


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("no id")
    return value

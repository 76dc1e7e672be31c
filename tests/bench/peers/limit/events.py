"""Events, and the rows of the outbox that carry them."""

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from tests.bench.peers import common
from tests.bench.peers.limit.postgres import I2, I4
from tests.bench.peers.limit.settings import AVRO, REACTIONS

Event = dict[str, Any]

encode: Callable[[Event], bytes]
decode: Callable[[bytes], Event]
encode, decode = common.avro_codec() if AVRO else (orjson.dumps, orjson.loads)

OUTBOX = "outbox(topic, key, value)"
_NS = common.NS.bytes
_TOPIC_NO = {name: number for number, name in enumerate(common.STEPS)}


def raw(text: str) -> bytes:
    """Give the 16 bytes of an id."""
    return bytes.fromhex(text.replace("-", ""))


def ids_of(events: list[Event]) -> list[bytes]:
    """Give the order of each."""
    return [raw(e["order_id"]) for e in events]


def _event_id(order_id: str, kind: str) -> str:
    """Derive what `uuid5` would, for a third of its time."""
    h = bytearray(hashlib.sha1(_NS + (order_id + kind).encode(), usedforsecurity=False).digest()[:16])
    h[6] = h[6] & 15 | 80
    h[8] = h[8] & 63 | 128
    x = h.hex()
    return f"{x[:8]}-{x[8:12]}-{x[12:16]}-{x[16:20]}-{x[20:]}"


def _follow(e: Event, kind: str, extra: Event) -> bytes:
    return encode(
        {
            "event_id": _event_id(e["order_id"], kind),
            "event_type": kind,
            "occurred_at": "2026-11-23T18:00:00.000000Z",
            "order_id": e["order_id"],
            "correlation_id": e["correlation_id"],
            "causation_id": e["event_id"],
            "currency": e["currency"],
            "total_minor": e["total_minor"],
            "lines": e["lines"],
            "payment_method_token": e["payment_method_token"],
            **extra,
        }
    )


def outbox_row(kind: str, e: Event, **extra: Any) -> bytes:
    """Write the next event of an order as a row of the outbox."""
    v = _follow(e, kind, extra)
    key: bytes = e["order_id"].encode()
    return b"\0\x03\0\0\0\x02" + I2(_TOPIC_NO[kind]) + b"\0\0\0\x24" + key + I4(len(v)) + v


def failed(e: Event, reason: str, **extra: Any) -> bytes:
    """Say that the order failed; with the reactions the customer is to be told."""
    row = outbox_row("PaymentFailed", e, reason=reason, **extra)
    return row + outbox_row("CustomerNotificationRequested", e, reason=reason) if REACTIONS else row

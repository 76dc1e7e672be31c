"""What every peer shares: topics, tables, the simulated gateway, event bodies. Nothing here is tuned for one peer."""

import asyncio
import io
import os
import uuid
from collections.abc import Callable
from typing import Any

STEPS = [
    "OrderConfirmed",
    "PaymentAuthorized",
    "PaymentFailed",
    "ItemsReserved",
    "ReservationFailed",
    "PaidAndConfirmed",
    "PaymentVoided",
    "ReservationReleased",
    "CustomerNotificationRequested",
]
TERMINAL = ["PaidAndConfirmed", "PaymentFailed"]
SKUS, EMPTY_SKUS, STOCK_EACH = 1000, 50, 1_000_000
NS = uuid.UUID("6f1d8a52-0000-4000-8000-000000000000")

# A peer's process is told everything through the environment.
BOOTSTRAP = os.environ.get("PEER_BOOTSTRAP", "")
DSN = os.environ.get("PEER_DSN", "")
PREFIX = os.environ.get("PEER_PREFIX", "")
LATENCY_S = float(os.environ.get("PEER_LATENCY_MS", "0")) / 1000
VARIANT = os.environ.get("PEER_VARIANT", "")

# Business tables, the same for every peer; each adds its own inbox, outbox or workflow tables.
DDL = f"""
CREATE TABLE orders(id uuid PRIMARY KEY, version int NOT NULL, status text NOT NULL, currency text NOT NULL,
  total bigint NOT NULL, token text NOT NULL, auth_ref text, capture_ref text, body bytea NOT NULL)
  WITH (fillfactor = 70);
CREATE TABLE stock(sku text PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0), reserved bigint NOT NULL,
  sold bigint NOT NULL DEFAULT 0) WITH (fillfactor = 30);
CREATE TABLE reservation(order_id uuid, sku text, qty int NOT NULL, PRIMARY KEY(order_id, sku));
INSERT INTO stock
  SELECT 'SKU-' || to_char(i, 'FM0000'), CASE WHEN i < {SKUS - EMPTY_SKUS} THEN {STOCK_EACH} ELSE 0 END, 0
    FROM generate_series(0, {SKUS - 1}) i;
"""


def topic(name: str) -> str:
    """Name a topic of this measurement."""
    return PREFIX + name


def sa_url(driver: str = "psycopg") -> str:
    """Give the database as SQLAlchemy wants it."""
    p = dict(x.split("=", 1) for x in DSN.split())
    return f"postgresql+{driver}://{p['user']}:{p['password']}@{p['host']}:{p['port']}/{p['dbname']}"


def declines(kind: str, token: str) -> bool:
    """Tell whether the gateway says no to this call."""
    return kind == "authorize" and token.startswith("pm_card_chargeDeclined")


class Gateway:
    """The payment provider: idempotent by key, answers after LATENCY_S; declines by the token."""

    def __init__(self) -> None:
        self.done: dict[str, dict[str, Any]] = {}

    async def call(self, kind: str, key: str, token: str, amount: int) -> dict[str, Any]:
        """Authorize, capture or void."""
        await asyncio.sleep(LATENCY_S)
        answer = self.done.get(key)
        if answer is None:
            answer = self.done[key] = {"ok": not declines(kind, token), "ref": kind[:2] + "_" + key}
        return answer


def follow(event: dict[str, Any], kind: str, **extra: Any) -> dict[str, Any]:
    """Make the next event of an order: deterministic id, same correlation, caused by the event at hand."""
    return {
        "event_id": str(uuid.uuid5(NS, event["order_id"] + kind)),
        "event_type": kind,
        "occurred_at": "2026-11-23T18:00:00.000000Z",
        "order_id": event["order_id"],
        "correlation_id": event["correlation_id"],
        "causation_id": event["event_id"],
        "currency": event["currency"],
        "total_minor": event["total_minor"],
        "lines": event["lines"],
        "payment_method_token": event["payment_method_token"],
        **extra,
    }


# Avro, for the variants that use it: one record that fits every event of the flow.
_S, _NS = "string", ["null", "string"]
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "event_id",
            "event_type",
            "occurred_at",
            "order_id",
            "correlation_id",
            "currency",
            "payment_method_token",
        ),
        _S,
    ),
    **dict.fromkeys(("causation_id", "customer_id", "authorization_ref", "capture_ref", "reason"), _NS),
    "total_minor": "long",
    "delivery_fee_minor": ["null", "long"],
    "service_fee_minor": ["null", "long"],
    "discount_minor": ["null", "long"],
}
_LINE = {"sku": "string", "name": "string", "quantity": "int", "unit_price_minor": "long"}
SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        *({"name": k, "type": t, **({"default": None} if isinstance(t, list) else {})} for k, t in _FIELDS.items()),
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": k, "type": t} for k, t in _LINE.items()],
                },
            },
        },
    ],
}


def avro_codec() -> tuple[Callable[[dict[str, Any]], bytes], Callable[[bytes], dict[str, Any]]]:
    """Return encode and decode; decode accepts the canonical form only: it writes the event again and compares."""
    import fastavro  # most peers speak JSON

    schema = fastavro.parse_schema(SCHEMA)

    def encode(event: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, event)
        return out.getvalue()

    def decode(value: bytes) -> dict[str, Any]:
        event: Any = fastavro.schemaless_reader(io.BytesIO(value), schema, None)
        if encode(event) != value:
            raise ValueError("not canonical")
        return event  # type: ignore[no-any-return]

    return encode, decode

"""An Avro encoder of its own, by the specification, so that the codec is not held against its own library."""

import json
from typing import Any

from tests.schemas.builders import event_id

_EMPTY = 0xC15D213AA4D7A795


def long(number: int) -> bytes:
    """Zigzag, then groups of seven bits, least significant first."""
    folded = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while True:
        folded, group = divmod(folded, 128)
        out.append(group + (128 if folded else 0))
        if not folded:
            return bytes(out)


def text(value: str) -> bytes:
    data = value.encode()
    return long(len(data)) + data


def method(token: str, customer_id: str | None = None, *, off_session: bool = False) -> bytes:
    """Encode a card's payment method, without the branch of its union."""
    customer = long(0) if customer_id is None else long(1) + text(customer_id)
    return long(0) + text(token) + customer + bytes([off_session])


LINE_1 = text("SKU-1") + long(2) + long(1_000)
LINE_2 = text("SKU-2") + long(1) + long(550)

ORDER: dict[str, bytes] = {
    "event_id": text(str(event_id("OrderConfirmed of order-1"))),
    "occurred_at": long(1_772_366_400_123_456),
    "order_id": text("order-1"),
    "correlation_id": text("correlation of order-1"),
    "causation_id": long(0),
    "customer_id": text("customer-1"),
    "currency": text("EUR"),
    "lines": long(2) + LINE_1 + LINE_2 + long(0),
    "discount_minor": long(100),
    "delivery_fee_minor": long(400),
    "service_fee_minor": long(150),
    "tax_minor": long(80),
    "total_minor": long(3_080),
    "payment_method": long(1) + method("pm_card_visa"),
}
"""The fields of builders.order_confirmed(), encoded."""


def order(**fields: bytes) -> bytes:
    """Encode the order with these fields instead, without framing."""
    assert fields.keys() <= ORDER.keys()
    return b"".join((ORDER | fields).values())


def single_object(schema: dict[str, Any], body: bytes) -> bytes:
    """Frame a body with the schema's own fingerprint."""
    return b"\xc3\x01" + crc_64_avro(canonical_form(schema)).to_bytes(8, "little") + body


def confluent(schema_id: int, body: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + body


def crc_64_avro(data: str) -> int:
    """Compute the fingerprint bit by bit."""
    crc = _EMPTY
    for byte in data.encode():
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_EMPTY if crc & 1 else 0)
    return crc


def canonical_form(schema: Any, namespace: str = "") -> str:
    """Write a schema in the specification's parsing canonical form."""
    if isinstance(schema, str):
        return json.dumps(schema)
    if isinstance(schema, list):
        return "[" + ",".join(canonical_form(branch, namespace) for branch in schema) + "]"
    kind = schema["type"]
    if kind == "array":
        return f'{{"type":"array","items":{canonical_form(schema["items"], namespace)}}}'
    if kind not in {"record", "enum"}:
        return canonical_form(kind, namespace)
    namespace = schema.get("namespace", namespace)
    head = f'{{"name":"{namespace}.{schema["name"]}","type":"{kind}",'
    if kind == "enum":
        return head + '"symbols":[' + ",".join(map(json.dumps, schema["symbols"])) + "]}"
    fields = ",".join(
        f'{{"name":"{field["name"]}","type":{canonical_form(field["type"], namespace)}}}' for field in schema["fields"]
    )
    return head + f'"fields":[{fields}]}}'

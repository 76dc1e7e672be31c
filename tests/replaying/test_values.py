"""What stands in the columns is what was published: compared with the values that were written, not with a reader's."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from fastavro import schemaless_writer

from deploy.replay.decoding import YEAR_1_US, YEAR_10000_US, hash_of
from deploy.replay.formats import DAY_US
from deploy.replay.topics import Read
from schemas.codec import Codec
from schemas.fields import HIDDEN
from schemas.framing import HEADS
from schemas.shapes import SHAPES
from tests.replaying.building import Given, encoded, put
from tests.replaying.test_columns import Reading, order, same_alone
from tests.replaying.test_files import ORDER, rejected, rows
from tests.schemas import builders as b

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COUNT: Final = 150
TEXTS: Final = (*"aé\0 😀", "", "日本語", "\u07ff\u0800\uffff\U0010ffff", "x" * 63, "x" * 64, "y" * 9_000)
WHOLES: Final = tuple(
    sign * (1 << bits) + step
    for bits in (0, 6, 7, 13, 14, 31, 32, 61, 62, 63)
    for sign, step in ((1, -1), (1, 0), (-1, 0), (-1, -1))
    if -(1 << 63) <= sign * (1 << bits) + step < 1 << 63
)
MOMENTS: Final = (YEAR_1_US, YEAR_10000_US - 1, -1, 0, DAY_US - 1, DAY_US, -DAY_US, -DAY_US - 1)
LENGTHS: Final = (0, 1, 2, 5, 99, 100, 101, 300)


def text(draw: random.Random) -> str:
    return draw.choice(TEXTS) if draw.random() < 0.6 else f"t{draw.getrandbits(60)}"


def whole(draw: random.Random) -> int:
    return draw.choice(WHOLES) if draw.random() < 0.1 else draw.randrange(-1 << draw.randrange(1, 62), 1 << 40)


def small(draw: random.Random) -> int:
    return draw.choice((0, -1, 2**31 - 1, -(2**31), draw.randrange(10**6)))


def flag(draw: random.Random) -> bool:
    return draw.random() < 0.5


PLAIN: Final[dict[str, Callable[[random.Random], Any]]] = {"string": text, "long": whole, "int": small, "boolean": flag}


def drawn(draw: random.Random, of: Any) -> Any:
    """Draw a value of an Avro type, often one at a bound."""
    match of:
        case ["null", inner]:
            return drawn(draw, inner) if draw.random() < 0.6 else None
        case {"type": "record", "fields": fields}:
            return {field["name"]: drawn(draw, field["type"]) for field in fields}
        case {"type": "array", "items": items}:
            length = draw.choice(LENGTHS) if draw.random() < 0.1 else draw.randrange(4)
            return [drawn(draw, items) for _ in range(length)]
        case {"type": "enum", "symbols": symbols}:
            return draw.choice(symbols)
        case {"logicalType": "uuid"}:
            text = str(UUID(int=draw.getrandbits(128)))
            return text.upper() if draw.random() < 0.02 else text
        case {"logicalType": "timestamp-micros"}:
            return draw.choice(MOMENTS) if draw.random() < 0.1 else draw.randrange(YEAR_1_US, YEAR_10000_US)
    return PLAIN[of](draw)


def shown(of: Any, value: Any, *, method: bool = False) -> Any:
    """Return what the column has for a value that was written. method: its fields are those of a payment method."""
    match of:
        case ["null", inner]:
            return None if value is None else shown(inner, value, method=method)
        case {"type": "record", "fields": fields}:
            made = {f["name"]: shown(f["type"], value[f["name"]], method=f["name"] == "payment_method") for f in fields}
            hidden = {name for name in ("token", "gateway_customer_id") if method and made.get(name) is not None}
            return made | dict.fromkeys(hidden, HIDDEN)
        case {"type": "array", "items": items}:
            return [shown(items, item) for item in value]
        case {"logicalType": "uuid"}:
            return value.lower()
        case {"logicalType": "timestamp-micros"}:
            return EPOCH + timedelta(microseconds=value)
    return value


def body(event_type: str, value: dict[str, Any]) -> bytes:
    out = BytesIO()
    schemaless_writer(out, SHAPES[event_type].wire, value)
    return HEADS[event_type] + out.getvalue()


@pytest.mark.parametrize("event_type", SHAPES)
def test_every_value_of_an_event_comes_back_from_its_column(event_type: str) -> None:
    draw, schema = random.Random(event_type), SHAPES[event_type].schema
    written = [drawn(draw, schema) for _ in range(COUNT)]
    values = [body(event_type, value) for value in written]
    reading = Reading(event_type)
    found = reading.read(values)
    assert reading.rejected == []
    assert len(reading.alone) < COUNT / 2, "most were read as columns"
    assert found.ids == [UUID(value["event_id"]).bytes for value in written]
    assert found.days == [value["occurred_at"] // DAY_US for value in written]
    for number, (row, value) in enumerate(zip(found.data.to_pylist(), written, strict=True)):
        of_kafka = {"kafka_partition": 3, "kafka_offset": number, "body_hash": hash_of(values[number])}
        at = EPOCH + timedelta(milliseconds=1_772_366_400_000 + number)
        assert row == shown(schema, value) | of_kafka | {"kafka_timestamp": at}


@pytest.mark.parametrize("event_type", SHAPES)
def test_drawn_events_with_wrong_bytes_among_them_are_read_as_each_is_by_itself(event_type: str) -> None:
    draw, schema = random.Random(f"{event_type} spoiled"), SHAPES[event_type].schema
    values = []
    for _ in range(COUNT):
        value = bytearray(body(event_type, drawn(draw, schema)))
        if draw.random() < 0.5:
            at = draw.randrange(len(HEADS[event_type]), len(value))
            value[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(11))
        values.append(bytes(value))
    read = same_alone(event_type, values)
    assert len(read.rejected) > COUNT / 10


def method(**fields: Any) -> dict[str, Any]:
    return b._METHOD.model_dump() | {"off_session": False} | fields


def spoiled(one: bytes, other: bytes, by: bytes) -> bytes:
    """Put other bytes where two bodies differ first."""
    at = next(at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return one[:at] + by + one[at + 1 :]


NOT_CANONICAL = [
    ("a branch of -2", spoiled(order(), order(causation_id=str(ORDER.event_id)), b"\x03")),
    ("a symbol of -1", spoiled(order(), order(payment_method=method(kind="WALLET")), b"\x01")),
    ("a boolean of 2", spoiled(order(payment_method=method()), order(payment_method=method(off_session=True)), b"\2")),
    ("a longer zero", spoiled(order(tax_minor=0), order(tax_minor=1), b"\x80\0")),
    ("a number of 77 bits", spoiled(order(tax_minor=0), order(tax_minor=1), b"\x82" + b"\x80" * 9 + b"\1")),
]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("value", [value for _, value in NOT_CANONICAL], ids=[name for name, _ in NOT_CANONICAL])
def test_bytes_that_a_library_reads_as_another_value_are_rejected(tmp_path: Path, form: str, value: bytes) -> None:
    given = [Given(0, 0, None, value), Given(1, 0, None, order())]
    put(tmp_path, form, Read("OrderConfirmed", "one", 0, given, 2))
    (line,) = rejected(tmp_path)
    assert (line["offset"], line["reason"]) == (0, "not_canonical")
    assert [row["kafka_offset"] for row in rows(tmp_path, form, "OrderConfirmed")] == [1]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("timestamp", [1_772_366_400_000_000, YEAR_1_US // 1000 - 1, 2**63 - 1, -(2**63)])
def test_a_message_whose_timestamp_no_calendar_has_is_rejected_and_stops_nothing(
    tmp_path: Path, form: str, timestamp: int
) -> None:
    (_, value), (_, other) = encoded([ORDER, b.order_confirmed(order_id="2")])
    given = [Given(0, timestamp, b"k", value), Given(1, timestamp, b"k", b"x"), Given(2, 0, b"k", other)]
    put(tmp_path, form, Read("OrderConfirmed", "one", 0, given, 3))
    lines = rejected(tmp_path)
    assert [(line["offset"], line["reason"]) for line in lines] == [(0, "invalid_field"), (1, "invalid_field")]
    assert str(timestamp) in lines[0]["detail"]
    assert [row["kafka_offset"] for row in rows(tmp_path, form, "OrderConfirmed")] == [2]


def test_the_first_and_the_last_millisecond_of_the_calendar_are_read(tmp_path: Path) -> None:
    bounds = [YEAR_1_US // 1000, YEAR_10000_US // 1000 - 1]
    orders = [b.order_confirmed(order_id=str(at)) for at in bounds]
    given = [Given(n, at, None, Codec().encode(orders[n])) for n, at in enumerate(bounds)]
    put(tmp_path, "parquet", Read("OrderConfirmed", "one", 0, given, 2))
    assert len(rows(tmp_path, "parquet", "OrderConfirmed")) == 2

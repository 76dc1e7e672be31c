"""Messages that are read together, as columns, give what each gives by itself, whatever stands in them."""

import random
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO
from typing import Any
from weakref import ref

import pytest
from fastavro import schemaless_writer

from deploy.replay import parquet
from deploy.replay.columnar import ITEMS_MAX
from deploy.replay.decoding import Row, RowReader, hash_of
from deploy.replay.formats import Format, Singly, Stretch
from deploy.replay.json_lines import JsonLines
from deploy.replay.parquet import ROWS_BYTES, Parquet
from deploy.replay.topics import Message
from schemas.codec import Codec
from schemas.framing import HEADS, FrameReader
from schemas.rejection import Rejected
from schemas.shapes import SHAPES
from tests.replaying.building import Given
from tests.schemas import builders as b

ORDER = b.order_confirmed()
READER = RowReader(FrameReader(None, "", 1 << 30))


class Reading:
    """Reads messages of one event, and keeps the offsets of those that were read by themselves or rejected."""

    def __init__(self, event_type: str) -> None:
        self._event_type = event_type
        self.alone: list[int] = []
        self.rejected: list[int] = []

    def read(self, values: Sequence[bytes | None]) -> Stretch:
        messages = [Given(n, 1_772_366_400_000 + n, None, value) for n, value in enumerate(values)]
        return Parquet().read(self._event_type, 3, messages, Singly(self.row, self.unfit))

    def row(self, message: Message) -> Row | None:
        self.alone.append(message.offset)
        try:
            row = READER.read(self._event_type, message.value)
        except Rejected:
            self.rejected.append(message.offset)
            return None
        assert message.value is not None
        of_kafka = {"kafka_partition": 3, "kafka_offset": message.offset, "body_hash": hash_of(message.value)}
        return row | of_kafka | {"kafka_timestamp": message.timestamp * 1000}

    def unfit(self, row: Row) -> None:
        self.rejected.append(row["kafka_offset"])


def same_alone(event_type: str, values: Sequence[bytes | None]) -> Reading:
    """Read together and one by one, compare, and return how they were read together."""
    together = Reading(event_type)
    found = together.read(values)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "read_bodies", lambda *_: None)
        alone = Reading(event_type)
        expected = alone.read(values)
    assert len(alone.alone) == len(values)
    assert together.rejected == alone.rejected
    assert found[1:] == expected[1:]
    if expected.ids:
        assert found.data.equals(expected.data)
    return together


def order(**fields: Any) -> bytes:
    """Encode an order with these fields, whatever our classes say about them."""
    body = BytesIO()
    wire = ORDER.model_dump(mode="json") | {"occurred_at": 1_772_366_400_123_456} | fields
    schemaless_writer(body, SHAPES["OrderConfirmed"].wire, wire)
    return HEADS["OrderConfirmed"] + body.getvalue()


def lines(count: int) -> list[dict[str, Any]]:
    return [{"sku": "é" * (n % 5), "quantity": n, "unit_price_minor": -n << 40} for n in range(count)]


def test_every_event_is_read_as_columns() -> None:
    for event in b.one_of_each():
        values = [
            Codec().encode(event.model_copy(update={"occurred_at": event.occurred_at + timedelta(hours=n)}))
            for n in range(30)
        ]
        assert same_alone(event.TYPE, values).alone == [], event.TYPE


def test_an_optional_field_is_there_in_some_and_not_in_others() -> None:
    free = {"total_minor": 0, "payment_method": None}
    cause = str(ORDER.event_id)
    values = [order(**free), order(), order(causation_id=cause), order(**free, causation_id=cause), order(lines=[])]
    assert same_alone("OrderConfirmed", values).alone == []
    assert same_alone("OrderConfirmed", [order(**free)] * 3).alone == []


def test_lists_of_all_lengths_keep_their_order() -> None:
    counts = [0, 1, 7, 2, ITEMS_MAX, 0, 3, ITEMS_MAX + 1, 1_000]
    read = same_alone("OrderConfirmed", [order(lines=lines(count)) for count in counts])
    assert read.alone == [7, 8], "longer ones are read by themselves"
    assert read.rejected == []


@pytest.mark.parametrize("name", ["total_minor", "occurred_at"])
def test_numbers_and_times_are_read_to_their_bounds(name: str) -> None:
    bounds = [0, 1, 63, 64, 2**31, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 253_402_300_800_000_000, 62_135_596_800_000_000]
    numbers = [sign * bound + step for bound in bounds for sign in (1, -1) for step in (-1, 0)]
    values = [order(**{name: number}) for number in numbers if -(2**63) <= number < 2**63]
    read = same_alone("OrderConfirmed", values)
    assert len(read.alone) < len(values) / 2 or name == "occurred_at"


def test_texts_that_are_no_utf_8_and_ids_that_are_none_are_found_among_the_others() -> None:
    value, event_id = order(), str(ORDER.event_id).encode()
    values = [
        value,
        value.replace(event_id, event_id.upper()),
        value.replace(event_id, event_id.replace(b"-", b"0")),
        value.replace(event_id, b"g" + event_id[1:]),
        value.replace(b"\x48" + event_id, b"\x46" + event_id[:-1]),
        value,
    ]
    read = same_alone("OrderConfirmed", values)
    assert (read.alone, read.rejected) == ([1, 2, 3, 4], [2, 3, 4])
    read = same_alone("OrderConfirmed", [value, value.replace(b"EUR", b"E\xffR"), value, order(currency="€")])
    assert (read.alone, read.rejected) == ([1], [1])


@pytest.mark.parametrize("seed", range(3))
def test_bodies_with_wrong_bytes_spoil_no_other(seed: int) -> None:
    draw = random.Random(seed)
    for event in b.one_of_each():
        value = Codec().encode(event)
        values: list[bytes | None] = [None, b"", HEADS[event.TYPE], value]
        for _ in range(150):
            changed = bytearray(value)
            at, byte = draw.randrange(len(HEADS[event.TYPE]), len(value)), draw.choice([0, 1, 2, 3, 0x7F, 0x80, 0xFF])
            match draw.randrange(4):
                case 0:
                    changed[at] = byte
                case 1:
                    del changed[at:]
                case 2:
                    del changed[at]
                case _:
                    changed.insert(at, byte)
            values += [bytes(changed), value]
        read = same_alone(event.TYPE, values)
        assert len(read.alone) > 20, "some were changed beyond what is plain"
        assert len(read.alone) < len(values) * 3 / 4, "the good ones were read as columns"


class Watched(dict[str, Any]):
    """A row of which a test knows how long it lives."""


@pytest.mark.parametrize("form", [Parquet(), JsonLines()])
def test_rows_of_long_bodies_do_not_pile_up_until_they_are_columns(form: Format) -> None:
    value = order(lines=lines(8_000))
    reading, made, most = Reading("OrderConfirmed"), list[ref[Watched]](), 0

    def row(message: Message) -> Row | None:
        nonlocal most
        found = Watched(reading.row(message) or {})
        made.append(ref(found))
        most = max(most, sum(one() is not None for one in made))
        return found

    count, singly = 12, Singly(row, reading.unfit)
    messages = [Given(n, 1_772_366_400_000, None, value) for n in range(count)]
    found = form.read("OrderConfirmed", 3, messages, singly)
    assert list(found.offsets) == list(range(count))
    assert most <= ROWS_BYTES // len(value) + 2

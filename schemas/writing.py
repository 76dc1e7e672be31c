"""Writes events in Avro's binary form. A test compares every byte with fastavro's.

We compile one writer per schema and cache the bytes of values that repeat. fastavro's writer needs plain values, so an
event must be converted first, and it goes through the schema for each event. Ours takes a third of the time, and runs
six times per order: to write an event, or to check that a body is canonical. It supports only what our schemas use.
fastavro reads all schemas, and writes all others.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import call, itemgetter
from typing import Any, Final
from uuid import UUID

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL: Final = b"\x00"
_SECOND_BRANCH: Final = b"\x02"
_END_OF_ARRAY: Final = b"\x00"
_REMEMBERED_MAX: Final = 8_192
_REMEMBERED_BYTES_MAX: Final = 256
"""Longer values are rare in good events, and a few thousand long ones would take a gigabyte."""

Write = Callable[[Any], bytes]
Fields = Callable[[Any], Mapping[str, Any]]


class UnknownShape(TypeError):  # noqa: N818 - a verdict, like schemas.shapes.UnsafeSchema
    """A schema uses a type that none of our schemas uses. Write it with fastavro."""


def micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01T00:00:00Z."""
    return (moment - EPOCH) // _MICROSECOND


def event_writer(schema: Mapping[str, Any]) -> Write:
    """Return a function that writes an event, or a record of schemas.records, with this schema."""
    return _Compiler(vars, meaning=True).record(schema)


def wire_writer(schema: Mapping[str, Any]) -> Write:
    """Return a function that writes a dict as fastavro reads it: plain values in place of logical types."""
    return _Compiler(_same, meaning=False).record(schema)


def _same(record: Any) -> Any:
    return record


class Memo(dict[Any, bytes]):
    """The bytes of values that were written. A hit runs in C only."""

    __slots__ = ("_write",)

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, value: Any) -> bytes:
        written = self._write(value)
        if len(written) > _REMEMBERED_BYTES_MAX:
            return written
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        self[value] = written
        return written


@cache
def memoize(write: Write) -> Write:
    """Return a function that writes a value that repeats only once.

    All fields of a type share it: the same amount and the same time stand in several events of an order.
    """
    return Memo(write).__getitem__


def write_long(number: int) -> bytes:
    """Write a number of up to 64 bits: zigzag, then seven bits per byte, the lowest bits first."""
    left = (number << 1) ^ (number >> 63)
    if 0x80 <= left < 0x4000:  # as most amounts are
        return bytes((left & 0x7F | 0x80, left >> 7))
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


_length: Final = memoize(write_long)
_UUID_LENGTH: Final = write_long(36)
_LENGTHS: Final = tuple(map(write_long, range(64)))
"""Most texts are short."""


def _text(value: str) -> bytes:
    raw = value.encode()
    size = len(raw)
    return (_LENGTHS[size] if size < 64 else _length(size)) + raw


def _uuid(value: UUID) -> bytes:
    # The same text as str(), in a third of the time: an order has eight UUIDs.
    raw = value.int.to_bytes(16, "big").hex()
    return _UUID_LENGTH + f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}".encode()


class _Compiler:
    """Builds writers. fields: returns a record's values by name. meaning: values have logical types."""

    def __init__(self, fields: Fields, *, meaning: bool) -> None:
        self._fields = fields
        self._meaning = meaning

    def record(self, schema: Mapping[str, Any], *, repeats: bool = False) -> Write:
        """Return the writer of a record. repeats: equal records are frequent, as SKU and quantity in orders are."""
        fields, names = self._fields, [field["name"] for field in schema["fields"]]
        # With one name itemgetter returns the value itself, not a tuple.
        take = itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)
        writers = [self._value(field["type"]) for field in schema["fields"]]

        def write(record: Any) -> bytes:
            return b"".join(map(call, writers, take(fields(record))))

        if not repeats:
            return write
        known = memoize(lambda values: b"".join(map(call, writers, values)))
        return lambda record: known(take(fields(record)))

    def _value(self, of: Any) -> Write:
        write, few = self._kind(of)
        return memoize(write) if few else write

    def _kind(self, of: Any) -> tuple[Write, bool]:
        """Return the writer of a type, and whether few different values are likely."""
        if isinstance(of, list):
            return self._nullable(of)
        kind, logical = (of["type"], of.get("logicalType")) if isinstance(of, dict) else (of, None)
        match kind, logical if self._meaning else None:
            case "string", "uuid":
                return _uuid, False
            case "long", "timestamp-micros":
                return _moment, True
            case "string", _:
                return _text, False
            case "long" | "int", _:
                return write_long, True
            case "boolean", _:
                return _boolean, True
            case "enum", _:
                numbers = {symbol: write_long(number) for number, symbol in enumerate(of["symbols"])}
                return numbers.__getitem__, False
            case "record", _:
                return self.record(of), False
            case "array", _:
                return self._array(of["items"]), False
            case _:
                raise UnknownShape(f"none of our schemas has a {kind}")

    def _nullable(self, of: list[Any]) -> tuple[Write, bool]:
        null, other = of
        if null != "null":
            raise UnknownShape("none of our schemas has a union that does not begin with null")
        inner, few = self._kind(other)

        def write(value: Any) -> bytes:
            return _NULL if value is None else _SECOND_BRANCH + inner(value)

        return write, few

    def _array(self, items: Any) -> Write:
        of_records = isinstance(items, dict) and items["type"] == "record"
        item = self.record(items, repeats=True) if of_records else self._value(items)

        def write(values: Any) -> bytes:
            if not values:
                return _END_OF_ARRAY
            return b"".join([_length(len(values)), *map(item, values), _END_OF_ARRAY])

        return write


def _moment(value: datetime) -> bytes:
    return write_long(micros(value))


def _boolean(value: bool) -> bytes:  # noqa: FBT001 - a field of booleans
    return b"\x01" if value else b"\x00"

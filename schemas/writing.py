"""Writing events in Avro's binary form. A test holds every byte to fastavro's.

fastavro's writer takes plain values, so that an event has to be converted first, and looks at the schema of each anew.
Here the schema of an event is studied once, and what most values have in common, few different ones, is made use of:
their bytes are remembered. That makes a third of the cost, and an event is written, or compared with what it would be
if it were, six times an order. Only what our schemas use is known here; fastavro reads, and writes everything else.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import call, itemgetter
from typing import Any, Final
from uuid import UUID

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL: Final = b"\x00"
_SECOND_BRANCH: Final = b"\x02"
_END_OF_ARRAY: Final = b"\x00"
_REMEMBERED_MAX: Final = 8_192

Write = Callable[[Any], bytes]
Fields = Callable[[Any], Mapping[str, Any]]


class UnknownShape(TypeError):  # noqa: N818 - a verdict, like schemas.shapes.UnsafeSchema
    """A schema uses what no schema of ours does; fastavro writes it."""


def micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01T00:00:00Z."""
    return (moment - EPOCH) // _MICROSECOND


def event_writer(schema: Mapping[str, Any]) -> Write:
    """Return what writes an event (or another record of schemas.records) as this schema, with logical types."""
    return _Compiler(vars, meaning=True).record(schema)


def wire_writer(schema: Mapping[str, Any]) -> Write:
    """Return what writes a dict as fastavro reads it: logical types as the plain values below them."""
    return _Compiler(_itself, meaning=False).record(schema)


def _itself(record: Any) -> Any:
    return record


class Remembered(dict[Any, bytes]):
    """Writes a value once; after that a look-up, which runs in C, gives its bytes."""

    __slots__ = ("_write",)

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, value: Any) -> bytes:
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        written = self[value] = self._write(value)
        return written


def remembering(write: Write) -> Write:
    """Have values that come again written once."""
    return Remembered(write).__getitem__


def write_long(number: int) -> bytes:
    """Write a number of up to 64 bits: zigzag, then seven bits a byte, the lowest first."""
    left = (number << 1) ^ (number >> 63)
    if 0x80 <= left < 0x4000:  # as most amounts are
        return bytes((left & 0x7F | 0x80, left >> 7))
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


_length: Final = remembering(write_long)


_UUID_LENGTH: Final = write_long(36)
_LENGTHS: Final = tuple(map(write_long, range(64)))
"""Most texts are short."""


def _text(value: str) -> bytes:
    raw = value.encode()
    size = len(raw)
    return (_LENGTHS[size] if size < 64 else _length(size)) + raw


def _uuid(value: UUID) -> bytes:
    # As str() writes it, in a third of the time: an order has eight.
    raw = value.int.to_bytes(16, "big").hex()
    return _UUID_LENGTH + f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}".encode()


class _Compiler:
    """Puts writers together. fields: gives a record's values by name. meaning: whether values are of logical types."""

    def __init__(self, fields: Fields, *, meaning: bool) -> None:
        self._fields = fields
        self._meaning = meaning

    def record(self, schema: Mapping[str, Any], *, again: bool = False) -> Write:
        """Return the writer of a record. again: its like comes again, as the SKUs and quantities of orders do."""
        fields, names = self._fields, [field["name"] for field in schema["fields"]]
        # Asked for one name, itemgetter gives its value and no tuple.
        take = itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)
        writers = [self._value(field["type"]) for field in schema["fields"]]

        def write(record: Any) -> bytes:
            return b"".join(map(call, writers, take(fields(record))))

        if not again:
            return write
        known = remembering(lambda values: b"".join(map(call, writers, values)))
        return lambda record: known(take(fields(record)))

    def _value(self, of: Any) -> Write:
        write, few = self._kind(of)
        return remembering(write) if few else write

    def _kind(self, of: Any) -> tuple[Write, bool]:
        """Return how a type is written, and whether few different values are to be expected."""
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
            raise UnknownShape("a union that does not begin with null")
        inner, few = self._kind(other)

        def write(value: Any) -> bytes:
            return _NULL if value is None else _SECOND_BRANCH + inner(value)

        return write, few

    def _array(self, items: Any) -> Write:
        of_records = isinstance(items, dict) and items["type"] == "record"
        item = self.record(items, again=True) if of_records else self._value(items)

        def write(values: Any) -> bytes:
            if not values:
                return _END_OF_ARRAY
            return b"".join([_length(len(values)), *map(item, values), _END_OF_ARRAY])

        return write


def _moment(value: datetime) -> bytes:
    return write_long(micros(value))


def _boolean(value: bool) -> bytes:  # noqa: FBT001 - a field of booleans
    return b"\x01" if value else b"\x00"

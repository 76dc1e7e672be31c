"""PostgreSQL's binary forms, written column by column for whole batches: arrays as parameters, rows for COPY.

The driver's list dumper looks up the type of every element. Here a column has one type, which costs a third.
Formats: the *send functions of PostgreSQL's types, and COPY's binary format.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain, repeat
from struct import Struct
from typing import Any, ClassVar, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from schemas.writing import memoize

_I2: Final = Struct("!h").pack
_I4: Final = Struct("!i").pack
_SIZED_I4: Final = Struct("!ii").pack
_SIZED_I8: Final = Struct("!iq").pack
_ARRAY_HEAD: Final = Struct("!iiiii").pack
_NULL: Final = b"\xff\xff\xff\xff"
_TRUE: Final = b"\0\0\0\1\1"
_FALSE: Final = b"\0\0\0\1\0"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(2000, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)

COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END: Final = b"\xff\xff"


def text(value: str | None) -> bytes:
    """Write text."""
    if value is None:
        return _NULL
    raw = value.encode()
    return _I4(len(raw)) + raw


def jsonb(value: str | None) -> bytes:
    """Write jsonb, version 1."""
    if value is None:
        return _NULL
    raw = value.encode()
    return _I4(len(raw) + 1) + b"\1" + raw


def raw_bytes(value: bytes | None) -> bytes:
    """Write bytea."""
    return _NULL if value is None else _I4(len(value)) + value


def bigint(value: int | None) -> bytes:
    """Write int8."""
    return _NULL if value is None else _SIZED_I8(8, value)


def integer(value: int) -> bytes:
    """Write int4."""
    return _SIZED_I4(4, value)


def boolean(value: bool) -> bytes:  # noqa: FBT001 - a column of booleans
    """Write bool."""
    return _TRUE if value else _FALSE


def uuid(value: Any) -> bytes:
    """Write uuid."""
    return _NULL if value is None else b"\0\0\0\x10" + value.int.to_bytes(16, "big")


def timestamp(value: datetime | None) -> bytes:
    """Write timestamptz: microseconds since 2000-01-01 UTC."""
    return _NULL if value is None else _SIZED_I8(8, (value - _EPOCH) // _MICROSECOND)


@lru_cache(maxsize=1_024)
def read_timestamp(raw: bytes) -> datetime:
    """Read the bytes of timestamptz_send. Rows of one transaction share them, so the cache saves most of the work."""
    return _EPOCH + timedelta(microseconds=int.from_bytes(raw, "big", signed=True))


def day(value: date) -> bytes:
    """Write date: days since 2000-01-01."""
    return _SIZED_I4(4, (value - _EPOCH_DAY).days)


def _one_value(column: Sequence[Any]) -> bool:
    """Tell whether a column has the same value in every row. Most have: null, false, the currency, now."""
    # Compare first and last before counting: comparing UUIDs is slow.
    return column[0] == column[-1] and column.count(column[0]) == len(column)


def _array(oid: int, write: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    head = _ARRAY_HEAD(1, 1, oid, len(values), 1)
    if values and _one_value(values):
        return head + write(values[0]) * len(values)
    return head + b"".join(map(write, values))


WRITERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "text": text,
    "word": memoize(text),
    "bytea": raw_bytes,
    "bigint": memoize(bigint),
    "number": bigint,
    "integer": memoize(integer),
    "boolean": memoize(boolean),
    "uuid": uuid,
    "timestamptz": memoize(timestamp),
    "date": memoize(day),
}
"""How a value of a type is written. A word is a text that repeats: a status, or an id that has many rows.
A number is a bigint that does not repeat."""


class Array:
    """One column of a batch, in PostgreSQL's binary array form. Made by `ARRAYS[type](values)`."""

    __slots__ = ("data",)
    oid: ClassVar[int]
    element_oid: ClassVar[int]
    write: ClassVar[Callable[[Any], bytes]]

    def __init__(self, values: Sequence[Any]) -> None:
        self.data = _array(self.element_oid, type(self).write, values)


def _make(kind: str, oid: int, element_oid: int) -> type[Array]:
    write = staticmethod(WRITERS[kind])
    name = f"{kind.title()}Array"
    made = type(name, (Array,), {"__slots__": (), "oid": oid, "element_oid": element_oid, "write": write})

    def dump(_self: Dumper, array: Array) -> bytes:
        return array.data

    psycopg.adapters.register_dumper(
        made, type(f"{name}Dumper", (Dumper,), {"format": Format.BINARY, "oid": oid, "dump": dump})
    )
    return made


ARRAYS: Final[dict[str, type[Array]]] = {
    "text": _make("text", 1009, 25),
    "word": _make("word", 1009, 25),
    "bytea": _make("bytea", 1001, 17),
    "bigint": _make("bigint", 1016, 20),
    "number": _make("number", 1016, 20),
    "integer": _make("integer", 1007, 23),
    "boolean": _make("boolean", 1000, 16),
    "uuid": _make("uuid", 2951, 2950),
    "timestamptz": _make("timestamptz", 1185, 1184),
    "date": _make("date", 1182, 1082),
}


def copy_rows(
    writers: Sequence[Callable[[Any], bytes]],
    writes: Sequence[Callable[[Any], Any] | None],
    rows: Sequence[Sequence[Any]],
) -> bytes:
    """Write the body of a COPY ... (FORMAT BINARY) of at least one row. writes: see batches.Column."""
    written: list[Iterable[bytes]] = []
    same = [_I2(len(writers))]
    for write, convert, values in zip(writers, writes, zip(*rows, strict=True), strict=True):
        if _one_value(values):
            same.append(write(values[0] if convert is None else convert(values[0])))
            continue
        column = values if convert is None else map(convert, values)
        if same:
            written.append(repeat(b"".join(same)))
            same = []
        written.append(map(write, column))
    written.append(repeat(b"".join(same), len(rows)))
    return b"".join((COPY_HEAD, *chain.from_iterable(zip(*written, strict=False)), COPY_END))

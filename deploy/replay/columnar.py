"""Reads bodies of today's schema as Arrow columns, by the thousand: what `decoding` reads one by one, much faster.

It reads only what is plain. Any other body has failed: `decoding` reads it, or says what is wrong with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deploy.replay.arrow import type_of
from deploy.replay.columns import COLUMNS, OF_KAFKA, Column, Kind
from deploy.replay.cursor import PADDING, Cursor, Mask, Whole
from deploy.replay.decoding import HEAD_BYTES, YEAR_1_US, YEAR_10000_US
from deploy.replay.uuids import SIZE, packed, texts_at
from schemas.fields import HIDDEN

ITEMS_MAX: Final = 100
"""Of a list. A list is read item by item, for all bodies at once: few bodies have longer ones."""

_BYTES_MAX: Final = (1 << 31) - 1 - len(PADDING)
"""Places in Arrow's arrays have 32 bits."""

_Read = Callable[[Cursor], Any]
"""Reads one field of all lanes as an Arrow array."""


class Bodies(NamedTuple):
    """What was read. columns: the event's own, in order, with a row for each body. The others are by body, too.

    good: whether the row is to be used. ids: 16 bytes each. moments: occurred_at, in microseconds since 1970.
    """

    columns: Sequence[Any]
    good: Mask
    ids: NDArray[np.uint8]
    moments: Whole


def read_bodies(event_type: str, values: Sequence[bytes]) -> Bodies | None:
    """Read messages that begin with the head of today's schema, one at least. None: they are too much at a time."""
    if sum(map(len, values)) > _BYTES_MAX:
        return None
    data = np.frombuffer(b"".join([*values, PADDING]), np.uint8)
    end = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
    begin = np.concatenate(([0], end[:-1])) + HEAD_BYTES
    cursor = Cursor(data, begin, end)
    ids, moments = _peek(cursor)
    columns = [read(cursor) for read in _READERS[event_type]]
    return Bodies(columns, cursor.done, ids, moments)


def _peek(cursor: Cursor) -> tuple[NDArray[np.uint8], Whole]:
    """Read id and moment, which stand first in every event, without moving on."""
    ahead = Cursor(cursor.data, cursor.at, cursor.end)
    begin, _ = ahead.text()
    moments = ahead.whole()
    return packed(texts_at(cursor.data, begin))[0], moments


def _whole(cursor: Cursor) -> Any:
    return pa.array(cursor.whole())


def _moment(cursor: Cursor) -> Any:
    moments = cursor.whole()
    cursor.fail((moments < YEAR_1_US) | (moments >= YEAR_10000_US))
    return pa.array(moments).cast(_MOMENT)


def _flag(cursor: Cursor) -> Any:
    byte = cursor.byte()
    cursor.fail(byte > 1)
    return pa.array(byte == 1)


def _text(cursor: Cursor) -> Any:
    return _copied(cursor, *cursor.text())


def _uuid(cursor: Cursor) -> Any:
    begin, end = cursor.text()
    _, right = packed(texts_at(cursor.data, begin))
    cursor.fail((end - begin != SIZE) | ~right)
    return _copied(cursor, begin, end)


def _copied(cursor: Cursor, begin: Whole, end: Whole) -> Any:
    """Copy texts out of the bodies. Places go up, so they are every other element of one array over all the bytes."""
    places = np.empty(2 * len(cursor), np.int32)
    places[0::2], places[1::2] = begin, end
    buffers = [None, pa.py_buffer(places), pa.py_buffer(cursor.data)]
    every = pa.Array.from_buffers(pa.binary(), max(len(places) - 1, 0), buffers)
    texts = every.take(pa.array(np.arange(0, len(places), 2)))
    try:
        return texts.cast(pa.string())
    except pa.ArrowInvalid:
        wrong = np.fromiter((not _is_utf_8(text) for text in texts.to_pylist()), np.bool_, len(texts))
        cursor.fail(wrong)
        return _copied(cursor, begin, np.where(wrong, begin, end))


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _hidden(cursor: Cursor) -> Any:
    _text(cursor)  # it must be one
    return pa.repeat(HIDDEN, len(cursor))


def _symbol(symbols: Sequence[str]) -> _Read:
    names = pa.array(symbols)

    def read(cursor: Cursor) -> Any:
        number = cursor.whole()
        wrong = (number < 0) | (number >= len(symbols))
        cursor.fail(wrong)
        return names.take(pa.array(np.where(wrong, 0, number)))

    return read


def _record(columns: Sequence[Column]) -> _Read:
    readers = [_reader(column) for column in columns]
    names = [column.name for column in columns]
    return lambda cursor: pa.StructArray.from_arrays([read(cursor) for read in readers], names)


def _list(columns: Sequence[Column]) -> _Read:
    """Read lists of one block, as all writers make them that do not stream."""
    item, of = _record(columns), pa.struct([(column.name, type_of(column)) for column in columns])

    def read(cursor: Cursor) -> Any:
        count = cursor.whole()
        cursor.fail((count < 0) | (count > ITEMS_MAX))
        count[cursor.at > cursor.end] = 0
        parts, owners = [pa.array([], of)], [np.empty(0, np.int64)]
        for number in range(count.max(initial=0)):
            lanes = np.flatnonzero(count > number)
            part = cursor.part(lanes)
            parts.append(item(part))
            owners.append(lanes)
            cursor.rejoin(lanes, part)
        lanes = np.flatnonzero(count)
        part = cursor.part(lanes)
        part.fail(part.byte() != 0)
        cursor.rejoin(lanes, part)
        order = np.argsort(np.concatenate(owners), kind="stable")
        places = np.concatenate(([0], np.cumsum(count))).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(places), pa.concat_arrays(parts).take(pa.array(order)))

    return read


def _optional(read: _Read, of: pa.DataType) -> _Read:
    """Null, or what stands in the second branch of the union."""

    def optional(cursor: Cursor) -> Any:
        branch = cursor.byte()
        cursor.fail(branch & ~np.uint8(2) != 0)
        there = branch == 2
        lanes = np.flatnonzero(there)
        if not lanes.size:
            return pa.nulls(len(cursor), of)
        part = cursor.part(lanes)
        found = read(part)
        cursor.rejoin(lanes, part)
        return found if there.all() else found.take(pa.array(np.cumsum(there) - 1, mask=~there))

    return optional


def _reader(column: Column) -> _Read:
    match column.kind:
        case Kind.TEXT if column.symbols:
            read = _symbol(column.symbols)
        case Kind.RECORD:
            read = _record(column.parts)
        case Kind.LIST:
            read = _list(column.parts)
        case kind:
            read = _hidden if column.hidden else _uuid if column.uuid else _PLAIN[kind]
    return _optional(read, type_of(column)) if column.nullable else read


_MOMENT: Final = pa.timestamp("us", tz="UTC")
_PLAIN: Final[dict[Kind, _Read]] = {Kind.TEXT: _text, Kind.WHOLE: _whole, Kind.FLAG: _flag, Kind.MOMENT: _moment}
_READERS: Final = {
    event_type: [_reader(column) for column in columns if column not in OF_KAFKA]
    for event_type, columns in COLUMNS.items()
}

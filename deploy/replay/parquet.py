"""Parquet files. What is plain is read as columns at once, the rest message by message."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deploy.replay.arrow import SCHEMAS
from deploy.replay.columnar import read_bodies
from deploy.replay.columns import BODY_HASH, COLUMNS, EVENT_ID, OCCURRED_AT, OFFSET, Column, Kind
from deploy.replay.decoding import YEAR_1_US, YEAR_10000_US, Row, hash_of
from deploy.replay.formats import DAY_US, Singly, Stretch
from deploy.replay.known_ids import KnownIds
from deploy.replay.topics import Message
from deploy.replay.uuids import ids_of
from schemas.framing import HEADS

COMPRESSION: Final = "zstd"
LEVEL: Final = 1
"""Higher levels save a few per cent here: most bytes are ids, which nothing compresses."""


ROWS_BYTES: Final = 256 << 10
"""Of bodies, as rows: those of many short lines take eighty times as much memory until they are columns."""


class Parquet:
    """deploy.replay.formats.Format. Data are a pyarrow.RecordBatch, ids are the 16 bytes of the UUID."""

    suffix = "parquet"

    def read(self, event_type: str, partition: int, messages: Sequence[Message], singly: Singly) -> Stretch:
        """As Format.read."""
        found, left = _read_plain(event_type, partition, messages)
        stretches = [found] if found.ids else []
        rows: list[Row] = []
        size = 0
        for number, message in enumerate(left, 1):
            if (row := singly.row(message)) is not None:
                rows.append(row)
                size += len(message.value or b"")
            if rows and (size >= ROWS_BYTES or number == len(left)):
                stretches.append(_of_rows(event_type, rows, singly))
                rows, size = [], 0
        return _merged(stretches) if stretches else found

    def take(self, data: pa.RecordBatch, places: Sequence[int]) -> pa.RecordBatch:
        """As Format.take."""
        return data.take(pa.array(places, pa.int64()))

    def without(self, data: pa.RecordBatch, ids: Collection[bytes]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """As Format.without."""
        texts = pa.array([str(UUID(bytes=event_id)) for event_id in ids], pa.string())
        hit = pc.is_in(data.column(EVENT_ID), value_set=texts)
        return data.filter(pc.invert(hit)), data.filter(hit)

    def rows(self, data: pa.RecordBatch) -> list[tuple[bytes, Row]]:
        """As Format.rows."""
        return [(UUID(row[EVENT_ID]).bytes, row) for row in data.to_pylist()]

    def size(self, data: pa.RecordBatch) -> int:
        """As Format.size."""
        return int(data.nbytes)

    def write(self, file: BinaryIO, event_type: str, pieces: Sequence[pa.RecordBatch]) -> int:
        """As Format.write."""
        table = pa.Table.from_batches(pieces, schema=SCHEMAS[event_type])
        pq.write_table(
            table, file, compression=COMPRESSION, compression_level=LEVEL, use_dictionary=_DICTIONARIES[event_type]
        )
        pa.default_memory_pool().release_unused()
        return int(table.num_rows)

    def known(self, scratch: Path) -> KnownIds:
        """As Format.known."""
        return KnownIds(scratch)


def _read_plain(event_type: str, partition: int, messages: Sequence[Message]) -> tuple[Stretch, Sequence[Message]]:
    """Read the messages that are plain. Return the others, too."""
    head = HEADS[event_type]
    likely = [m for m in messages if m.value is not None and m.value.startswith(head)]
    values = [m.value for m in likely if m.value is not None]
    bodies = read_bodies(event_type, values) if values else None
    if bodies is None:
        return _NOTHING, messages
    hashes = np.fromiter(map(hash_of, values), np.int64, len(values))
    offsets = np.fromiter((m.offset for m in likely), np.int64, len(likely))
    stamps = np.fromiter((m.timestamp for m in likely), np.int64, len(likely))
    of_kafka = [np.full(len(likely), partition, np.int64), offsets, stamps * 1000, hashes]
    # Other timestamps overflow, or have no date.
    good = bodies.good & (stamps >= YEAR_1_US // 1000) & (stamps < YEAR_10000_US // 1000)
    schema = SCHEMAS[event_type]
    arrays = [*bodies.columns, *map(pa.array, of_kafka)]
    batch = pa.RecordBatch.from_arrays([a.cast(f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema)
    ids, days = bodies.ids, bodies.moments // DAY_US
    left: Sequence[Message] = ()
    if len(likely) < len(messages) or not good.all():
        read = set(compress(offsets.tolist(), good.tolist()))
        left = [m for m in messages if m.offset not in read]
        batch, offsets, hashes = batch.filter(pa.array(good)), offsets[good], hashes[good]
        ids, days = ids[good], days[good]
    return Stretch(batch, offsets.tolist(), ids_of(ids), hashes.tolist(), days.tolist()), left


def _of_rows(event_type: str, rows: Sequence[Row], singly: Singly) -> Stretch:
    """Make a stretch of rows. Those with a value that does not fit its column are left out."""
    try:
        batch = _batch(event_type, rows)
    except _UNFIT:
        fit = []
        for row in rows:
            try:
                _batch(event_type, [row])
            except _UNFIT:
                singly.unfit(row)
            else:
                fit.append(row)
        rows, batch = fit, _batch(event_type, fit)
    return Stretch(
        batch,
        [row[OFFSET] for row in rows],
        [UUID(row[EVENT_ID]).bytes for row in rows],
        [row[BODY_HASH] for row in rows],
        [row[OCCURRED_AT] // DAY_US for row in rows],
    )


def _batch(event_type: str, rows: Sequence[Row]) -> pa.RecordBatch:
    """Make a batch of rows. Raises one of _UNFIT if a value does not fit its column."""
    schema = SCHEMAS[event_type]
    arrays = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


_UNFIT: Final = (pa.ArrowException, OverflowError, TypeError, ValueError)
_NOTHING: Final = Stretch(None, (), (), (), ())


def _merged(stretches: Sequence[Stretch]) -> Stretch:
    """Put stretches into one, in order of their offsets."""
    if len(stretches) == 1:
        return stretches[0]
    offsets = list(chain.from_iterable(stretch.offsets for stretch in stretches))
    order = sorted(range(len(offsets)), key=offsets.__getitem__)

    def sort(pieces: Iterable[Sequence[Any]]) -> list[Any]:
        every = list(chain.from_iterable(pieces))
        return [every[place] for place in order]

    batch = pa.concat_batches([stretch.data for stretch in stretches]).take(pa.array(order))
    _, *others = zip(*stretches, strict=True)
    return Stretch(batch, *map(sort, others))


def _repeating(columns: Sequence[Column], path: str = "") -> Iterator[str]:
    """Name the columns of few different texts. A dictionary of ids would cost time and save nothing."""
    for column in columns:
        if column.parts:
            inner = ".list.element." if column.kind is Kind.LIST else "."
            yield from _repeating(column.parts, f"{path}{column.name}{inner}")
        elif column.kind is Kind.TEXT and not column.name.endswith("_id"):
            yield path + column.name


_DICTIONARIES: Final = {event_type: list(_repeating(columns)) for event_type, columns in COLUMNS.items()}

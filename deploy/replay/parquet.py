"""Parquet as DuckDB, polars and pyarrow read it: ids are text, times have a zone, money is 64-bit integers.

Ids are no UUID columns: polars gives those as 16 bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deploy.replay.columns import BODY_HASH, COLUMNS, EVENT_ID, Column, Kind
from deploy.replay.decoding import Row
from deploy.replay.formats import Unfit

COMPRESSION: Final = "zstd"
LEVEL: Final = 1
"""Higher levels save a few per cent here: most bytes are ids, which nothing compresses."""
SEARCHED_ROWS: Final = 200_000
"""So many ids are compared at a time: 10 MB."""


class Parquet:
    """deploy.replay.formats.Format. A batch is a pyarrow.RecordBatch."""

    suffix = "parquet"

    def batch(self, event_type: str, rows: Sequence[Row]) -> tuple[pa.RecordBatch, int]:
        """As Format.batch."""
        schema = SCHEMAS[event_type]
        try:
            arrays = [pa.array([row[name] for row in rows], of) for name, of in _FIELDS[event_type]]
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise Unfit(str(error)) from error
        made = pa.RecordBatch.from_arrays(arrays, schema=schema)
        return made, made.nbytes

    def without(self, batch: pa.RecordBatch, ids: frozenset[str]) -> tuple[pa.RecordBatch, list[Row]]:
        """As Format.without."""
        hit = pc.is_in(batch.column(EVENT_ID), value_set=pa.array(sorted(ids), pa.string()))
        return batch.filter(pc.invert(hit)), batch.filter(hit).to_pylist()

    def write(self, file: BinaryIO, event_type: str, batches: Sequence[pa.RecordBatch]) -> int:
        """As Format.write."""
        table = pa.Table.from_batches(batches, schema=SCHEMAS[event_type])
        pq.write_table(
            table, file, compression=COMPRESSION, compression_level=LEVEL, use_dictionary=_DICTIONARIES[event_type]
        )
        pa.default_memory_pool().release_unused()
        return int(table.num_rows)

    def find(self, paths: Sequence[Path], ids: Mapping[str, object]) -> dict[str, int]:
        """As Format.find."""
        wanted = pa.array(ids, pa.string())
        found: dict[str, int] = {}
        for files in _stretches(paths):
            if pc.any(pc.is_in(pa.concat_tables(files.values()).column(EVENT_ID), value_set=wanted)).as_py():
                for path in files:
                    found |= _hashes(path, wanted)
        return found


def _stretches(paths: Sequence[Path]) -> Iterator[dict[Path, pa.Table]]:
    """Read the ids of these files, some files at a time."""
    tables: dict[Path, pa.Table] = {}
    for path in paths:
        tables[path] = _read(path, EVENT_ID)
        if sum(table.num_rows for table in tables.values()) >= SEARCHED_ROWS:
            yield tables
            tables = {}
    if tables:
        yield tables


def _hashes(path: Path, wanted: pa.Array) -> dict[str, int]:
    """Return those of the ids that stand in the file, with their hashes."""
    table = _read(path, EVENT_ID, BODY_HASH)
    hits = table.filter(pc.is_in(table.column(EVENT_ID), value_set=wanted))
    return dict(zip(*(column.to_pylist() for column in hits.columns), strict=True))


def _read(path: Path, *columns: str) -> pa.Table:
    """Read columns of a file. pq.read_table would do the same; it takes twice as long."""
    with pq.ParquetFile(path) as file:
        return file.read(columns=list(columns), use_threads=False)


_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
}


def _type(column: Column) -> pa.DataType:
    if column.kind is Kind.RECORD:
        return pa.struct([(part.name, _type(part)) for part in column.parts])
    if column.kind is Kind.LIST:
        return pa.list_(pa.struct([(part.name, _type(part)) for part in column.parts]))
    return _TYPES[column.kind]


def _repeating(columns: Sequence[Column], path: str = "") -> Iterator[str]:
    """Name the columns of few different texts. A dictionary of ids would cost time and save nothing."""
    for column in columns:
        if column.parts:
            inner = ".list.element." if column.kind is Kind.LIST else "."
            yield from _repeating(column.parts, f"{path}{column.name}{inner}")
        elif column.kind is Kind.TEXT and not column.name.endswith("_id"):
            yield path + column.name


SCHEMAS: Final[dict[str, Any]] = {
    event_type: pa.schema([(column.name, _type(column)) for column in columns])
    for event_type, columns in COLUMNS.items()
}
"""By event type. Every column may be null: one that an older schema did not have is."""
_FIELDS: Final = {event_type: [(field.name, field.type) for field in schema] for event_type, schema in SCHEMAS.items()}
_DICTIONARIES: Final = {event_type: list(_repeating(columns)) for event_type, columns in COLUMNS.items()}

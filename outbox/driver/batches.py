"""Statements over many rows: one for a whole batch. Its rows are passed as one array for each column, or sent by COPY.

No statement compares a column with a constant beside the array join. On a fresh database, without statistics, the
planner would expect few rows and scan the whole table once for every array element (measured: ten times slower).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString, NamedTuple

from outbox.driver import binary
from outbox.driver.binary import ARRAYS, Array

Row = tuple[Any, ...]
COPY_FROM: Final = 20
"""With at least so many rows COPY costs less than an INSERT over arrays; with fewer its round trips cost more."""
JSONB: Final = "jsonb"


class Column(NamedTuple):
    """One column of the database, and the attribute of a value that it keeps.

    type: PostgreSQL's. comment: meaning and unit, kept in the database. kind: how it is written, if not by its type
    (see binary.WRITERS). field: the attribute, if it has another name. write, read: convert the attribute to the cell
    and back, if they differ. null: the attribute if the cell is null.
    """

    name: LiteralString
    type: LiteralString = "text"
    comment: str = ""
    kind: str = ""
    nullable: bool = False
    field: str = ""
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None
    null: object = None

    @property
    def element(self) -> LiteralString:
        """Return the type of the elements of its array: JSON is sent as text."""
        return "text" if self.type == JSONB else self.type

    @property
    def writer(self) -> str:
        """Return the name of the writer of its array's elements."""
        return self.kind or self.element


def word(name: LiteralString, comment: str = "", **how: Any) -> Column:
    """Describe a column of texts that repeat: a status, or an id that has many rows."""
    return Column(name, "text", comment, "word", **how)


class Batch(NamedTuple):
    """A statement over arrays. `arrays` makes its parameters from rows: tuples in the order of the columns."""

    sql: LiteralString
    types: tuple[type[Array], ...]
    writes: tuple[Callable[[Any], Any] | None, ...]

    def arrays(self, rows: Sequence[Row]) -> list[Array]:
        """Turn rows into columns. There is at least one row."""
        columns = zip(self.types, self.writes, zip(*rows, strict=True), strict=True)
        return [make(column if write is None else tuple(map(write, column))) for make, write, column in columns]


class Insert(NamedTuple):
    """Two ways to insert many rows: an INSERT over arrays, and a COPY."""

    batch: Batch
    copy: LiteralString
    writers: tuple[Callable[[Any], bytes], ...]

    def body(self, rows: Sequence[Row]) -> bytes:
        """Return the bytes that the COPY sends."""
        return binary.copy_rows(self.writers, self.batch.writes, rows)


def batch(sql: LiteralString, columns: Sequence[Column]) -> Batch:
    """Make a statement over arrays of these columns."""
    return Batch(sql, tuple(ARRAYS[c.writer] for c in columns), tuple(c.write for c in columns))


def unnest(columns: Sequence[Column]) -> LiteralString:
    """Write the subquery that turns arrays into rows.

    In a select list PostgreSQL unpacks the arrays row by row; in FROM it would materialize each first.
    """
    arrays: LiteralString = ", ".join([f"unnest(%s::{c.element}[]) AS {c.name}" for c in columns])
    return f"(SELECT {arrays}) AS u"


def insert(table: LiteralString, columns: Sequence[Column], suffix: LiteralString = "") -> Insert:
    """Build an insert of many rows. The COPY has no suffix."""
    names: LiteralString = ", ".join([c.name for c in columns])
    values: LiteralString = ", ".join([_value(c) for c in columns])
    made = batch(f"INSERT INTO {table} ({names}) SELECT {values} FROM {unnest(columns)} {suffix}", columns)
    writers = tuple(binary.jsonb if c.type == JSONB else binary.WRITERS[c.writer] for c in columns)
    return Insert(made, f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)", writers)


def update(table: LiteralString, keys: Sequence[Column], columns: Sequence[Column]) -> Batch:
    """Build an UPDATE of many rows by key. In a row the keys come first."""
    sets: LiteralString = ", ".join([f"{c.name} = {_value(c)}" for c in columns])
    where: LiteralString = " AND ".join([f"t.{k.name} = u.{k.name}" for k in keys])
    every = [*keys, *columns]
    return batch(f"UPDATE {table} AS t SET {sets} FROM {unnest(every)} WHERE {where}", every)


def _value(column: Column) -> LiteralString:
    return f"u.{column.name}::jsonb" if column.type == JSONB else f"u.{column.name}"

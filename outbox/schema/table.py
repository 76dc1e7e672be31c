"""One declaration for a table that keeps values of the domain: how its rows are written and read.

All statements over its columns are made from it.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, LiteralString, TypeVar

from domain.values import Value
from outbox.driver.batches import Column, Row, insert, update

V = TypeVar("V", bound=Value)


class Table(Generic[V]):
    """One table and its type of values.

    Columns of the value: key finds a row, fixed never changes, state changes. Columns that the value has not: given is
    part of the key, also is written once, stamp is written at every change. The caller passes these, in this order.
    """

    def __init__(
        self,
        name: LiteralString,
        value: type[V],
        *,
        key: Sequence[Column],
        fixed: Sequence[Column] = (),
        state: Sequence[Column],
        given: Sequence[Column] = (),
        also: Sequence[Column] = (),
        stamp: Sequence[Column] = (),
    ) -> None:
        self.name = name
        self._value = value
        self.key = tuple(column.name for column in (*given, *key))
        self.state = tuple(state)
        self.columns = (*given, *also, *stamp, *key, *fixed, *state)
        self.insert = insert(name, self.columns)
        self.update = update(name, [*given, *key], [*state, *stamp])
        self._row = attrgetter(*_attributes([*key, *fixed, *state]))
        self._change = attrgetter(*_attributes([*key, *state]))

        fields = {column.field or column.name: column for column in (*key, *fixed, *state)}
        every = value.__struct_fields__
        loaded = [fields[name] for name in every if name in fields]
        self._names = tuple(column.name for column in loaded)
        self._reads = tuple((n, column.read, column.null) for n, column in enumerate(loaded) if column.read is not None)
        self._parts_at = next((n for n, name in enumerate(every) if name not in fields), None)

    def select(self, alias: LiteralString) -> LiteralString:
        """Return the list of columns that `load` expects."""
        return ", ".join([f"{alias}.{name}" for name in self._names])

    def load(self, row: Sequence[Any], *parts: object) -> V:
        """Make a value from a row. parts: from other tables. The row may have further cells at its end."""
        cells = list(row)
        del cells[len(self._names) :]
        for n, read, null in self._reads:
            cells[n] = null if cells[n] is None else read(cells[n])
        if parts:
            cells[self._parts_at : self._parts_at] = parts
        return self._value(*cells)

    def by_order(self, rows: Iterable[Row]) -> dict[str, list[V]]:
        """Make values from rows that begin with the order's id; group them by it."""
        grouped: dict[str, list[V]] = {}
        for order_id, *row in rows:
            grouped.setdefault(order_id, []).append(self.load(row))
        return grouped

    def row(self, value: V, *others: object) -> Row:
        """Return the row of a new value. others: the columns that the value has not."""
        return (*others, *self._row(value))

    def change(self, value: V, given: Row = (), stamp: Row = ()) -> Row:
        """Return the row of an update."""
        return (*given, *self._change(value), *stamp)


def _attributes(columns: Sequence[Column]) -> list[str]:
    """Return the attributes that these columns keep."""
    return [column.field or column.name for column in columns]

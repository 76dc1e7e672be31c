"""Locks that other sessions hold on our tables and rows."""

from typing import Any, NamedTuple

from domain.ids import OrderId


class Holder(NamedTuple):
    """A session. pid: None for a prepared transaction. open_s: seconds since its transaction began.

    None also means that we may not see it: of another user's session these are state and open_s.
    """

    pid: int | None
    user: str | None = None
    application: str | None = None
    state: str | None = None
    open_s: int | None = None

    @property
    def remedy(self) -> str:
        """Return the statement with which an administrator ends it."""
        if self.pid is None:
            return "ROLLBACK PREPARED '...', see pg_prepared_xacts"
        return f"SELECT pg_terminate_backend({self.pid})"


class TableLock(NamedTuple):
    """A lock on a whole table that a session holds or waits for. In both cases we wait behind it."""

    table: str
    mode: str
    holder: Holder


class RowLock(NamedTuple):
    """A row that is held. key: an order id, or a SKU in table stock. transactions: those that hold it.

    needed_by: of the orders that were asked for, those that need the row. holder: one of them; None if nobody can tell.
    shared: several may hold it at once. Then others may join, and whoever wants it alone may wait for ever.
    """

    table: str
    key: str
    transactions: frozenset[str]
    needed_by: frozenset[OrderId]
    holder: Holder | None = None
    shared: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """Tell this row from others."""
        return self.table, self.key

    def lasts(self, before: "RowLock") -> bool:
        """Whether this is no passing lock: somebody has held the row since before, or sharers take turns."""
        return self.shared or before.shared or bool(self.transactions & before.transactions)


class Locks(NamedTuple):
    """What is held now. tables: some of them may not matter to who waits. blind: a table kept us from seeing rows."""

    tables: tuple[TableLock, ...] = ()
    rows: tuple[RowLock, ...] = ()
    blind: bool = False


def describe_holder(holder: Holder | None) -> dict[str, Any]:
    """Return the fields of an alarm about a session."""
    if holder is None:
        return {"remedy": "the session is unknown: look for old transactions in pg_stat_activity"}
    known = holder._asdict() | {"remedy": holder.remedy}
    return {name if name == "remedy" else f"holder_{name}": value for name, value in known.items() if value is not None}

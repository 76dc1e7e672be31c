"""Who holds what we wait for: locks of other sessions on our tables and rows."""

from typing import Any, NamedTuple

from domain.ids import OrderId


class Holder(NamedTuple):
    """A session. pid: None for a prepared transaction, which has none. open_s: seconds since its transaction began.

    What the database does not let us see is None: of another user's session that is state and open_s.
    """

    pid: int | None
    user: str | None = None
    application: str | None = None
    state: str | None = None
    open_s: int | None = None

    @property
    def remedy(self) -> str:
        """Return the statement by which an administrator ends it."""
        if self.pid is None:
            return "ROLLBACK PREPARED '...', see pg_prepared_xacts"
        return f"SELECT pg_terminate_backend({self.pid})"


class TableLock(NamedTuple):
    """A whole table that a session holds, or is next to hold; either way we queue behind it."""

    table: str
    mode: str
    holder: Holder


class RowLock(NamedTuple):
    """A row that a transaction holds. key: an order id, or a SKU in table stock. transaction: tells it from others.

    needed_by: of the orders that were asked for, those that need the row. holder: None if nobody can tell.
    """

    table: str
    key: str
    transaction: str
    needed_by: frozenset[OrderId]
    holder: Holder | None = None

    @property
    def name(self) -> tuple[str, str, str]:
        """Tell this lock from others."""
        return self.table, self.key, self.transaction


class Locks(NamedTuple):
    """What is held now. rows: empty while tables are held, for then rows cannot be looked at."""

    tables: tuple[TableLock, ...] = ()
    rows: tuple[RowLock, ...] = ()


def tell_holder(holder: Holder | None) -> dict[str, Any]:
    """Return what an alarm says of a session."""
    if holder is None:
        return {"remedy": "the session cannot be told: look for old transactions in pg_stat_activity"}
    known = holder._asdict() | {"remedy": holder.remedy}
    return {name if name == "remedy" else f"holder_{name}": value for name, value in known.items() if value is not None}

"""Rows that another session holds: what needs them waits, everything else goes on, and an alarm names the session.

A batch is one transaction, so one row that an operator's psql has locked would hold up a thousand orders. After a
transaction has waited in vain we ask who holds which rows (outbox/store/locks.py). What needs them is taken out of the
batch, and the rest runs at once. What was taken out is tried again every second. Then we ask first, so that no
transaction waits in vain again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import structlog

from consumers.runtime.cutting import TooLarge, in_pieces
from domain.alarms import Lasting
from domain.errors import Busy, Transient
from domain.ids import OrderId
from domain.ports.locks import Locks, RowLock, describe_holder
from domain.ports.store import Store

T = TypeVar("T")
R = TypeVar("R")

RETRY_S: Final = 1.0
"""Before what waits for a row is tried again."""
APART_S: Final = 0.3
"""Between two looks. A row held by the same transaction both times is held for long: ours hold one for milliseconds."""
IN_VAIN_MAX: Final = 12
"""Transactions of one batch that may wait in vain; then all that is left waits. To find 1 in 1,000 takes ten."""
FORGOTTEN_S: Final = 60.0
"""A row that nobody has needed for so long is forgotten: another process reads its partition now."""
NAMED_MAX: Final = 20
"""Rows or orders in a line of the log, at most."""
STOCK: Final = "stock"


class Blocked(Exception):  # noqa: N818 - an answer, no error
    """A transaction waited in vain for rows. locks: the held rows, if they could be found."""

    def __init__(self, locks: Locks) -> None:
        super().__init__("another session holds a row")
        self.locks = locks


class LockWatch:
    """Finds who holds which rows, and rings once for each holder. All loops of a process share one."""

    def __init__(self, store: Store, *, apart_s: float = APART_S) -> None:
        self._store = store
        self._apart_s = apart_s
        self._held: dict[str, Lasting] = {}
        self._log = structlog.get_logger("consumers.locks")

    async def find(self, order_ids: Sequence[OrderId]) -> Locks:
        """Return rows that these orders need and that are held for long. Raises Busy if a whole table is."""
        first = await self._store.locks(order_ids)
        if not first.tables and not first.rows:
            return first
        await asyncio.sleep(self._apart_s)
        second = await self._store.locks(order_ids)
        known = {(lock.table, lock.mode, lock.holder.pid) for lock in first.tables}
        for table in second.tables:
            if (table.table, table.mode, table.holder.pid) in known:
                said = ", ".join(f"{name} {value}" for name, value in describe_holder(table.holder).items())
                raise Busy(f"table {table.table} is held ({table.mode}) by another session: {said}")
        names = {lock.name for lock in first.rows}
        rows = tuple(lock for lock in second.rows if lock.name in names)
        self._ring(rows)
        return Locks(rows=rows)

    async def look_again(self, order_ids: Sequence[OrderId], names: set[tuple[str, str, str]]) -> Sequence[RowLock]:
        """Return those of these rows that are still held. order_ids: the orders to ask about."""
        rows = [lock for lock in (await self._store.locks(order_ids)).rows if lock.name in names]
        self._ring(rows)
        return rows

    def end(self, transaction: str) -> None:
        """Note that a transaction no longer holds a row."""
        if transaction in self._held:
            self._held.pop(transaction).end(_now(), "the row is free; what waited for it goes on")

    def _ring(self, rows: Sequence[RowLock]) -> None:
        for transaction in {lock.transaction for lock in rows}:
            locks = [lock for lock in rows if lock.transaction == transaction]
            needed_by = sorted({order_id for lock in locks for order_id in lock.needed_by})
            self._held.setdefault(transaction, Lasting(self._log, "lock_held")).again(
                _now(),
                "another session holds a row; orders that need it wait, others go on",
                table=locks[0].table,
                rows=[lock.key for lock in locks][:NAMED_MAX],
                orders=len(needed_by),
                order_ids=needed_by[:NAMED_MAX],
                **describe_holder(locks[0].holder),
            )


class Detour(Generic[T]):
    """How one loop goes around held rows. order_of: the order of an item, if it has one."""

    def __init__(self, watch: LockWatch, order_of: Callable[[T], OrderId | None]) -> None:
        self._watch = watch
        self._order_of = order_of
        self._known: dict[tuple[str, str, str], tuple[frozenset[OrderId], float]] = {}

    async def run(self, items: Sequence[T], transaction: Awaitable[R]) -> R:
        """Await a transaction over these items. If it waited in vain for rows, raise Blocked."""
        try:
            return await transaction
        except Busy as error:
            raise Blocked(await self._watch.find(self._orders(items))) from error

    async def work(
        self,
        items: Sequence[T],
        work: Callable[[Sequence[T]], Awaitable[None]],
        give_up: Callable[[T, Exception], Awaitable[None]],
    ) -> Sequence[T]:
        """Work on all items as in_pieces does, except those that need a held row; return these.

        If one item of an order waits, its later items wait, too: they must not overtake it.
        """
        trip = _Trip(self._order_of, work, give_up, self._note)
        if self._known:
            items = trip.leave(items, await self._still_blocked(items))
        if items:
            await in_pieces(items, trip.work, trip.give_up)
        return trip.waiting

    def _orders(self, items: Sequence[T]) -> list[OrderId]:
        found = dict.fromkeys(self._order_of(item) for item in items)
        return [order_id for order_id in found if order_id is not None]

    def _note(self, rows: Sequence[RowLock]) -> None:
        now = _now()
        for lock in rows:
            self._known[lock.name] = (lock.needed_by, now)

    def _forget(self, names: Sequence[tuple[str, str, str]]) -> None:
        for name in names:
            del self._known[name]
            self._watch.end(name[2])

    async def _still_blocked(self, items: Sequence[T]) -> set[OrderId]:
        """Ask about the rows that were held a moment ago; return the orders that must still wait."""
        oldest = _now() - FORGOTTEN_S
        self._forget([name for name, (_, at) in self._known.items() if at < oldest])
        ids, by_goods = self._orders(items), any(table == STOCK for table, _, _ in self._known)
        waited = {order_id for needed_by, _ in self._known.values() for order_id in needed_by}
        asked = ids if by_goods else [order_id for order_id in ids if order_id in waited]
        if not asked:
            return set()
        try:
            held = await self._watch.look_again(asked, set(self._known))
        except Transient:
            return set()  # the work itself will meet the outage, and wait
        about, names = set(asked), {lock.name for lock in held}
        self._forget([n for n, (needed_by, _) in self._known.items() if needed_by & about and n not in names])
        self._note(held)
        return {order_id for lock in held for order_id in lock.needed_by}


class _Trip(Generic[T]):
    """One batch on its way around held rows. It remembers which items were left behind."""

    def __init__(
        self,
        order_of: Callable[[T], OrderId | None],
        work: Callable[[Sequence[T]], Awaitable[None]],
        give_up: Callable[[T, Exception], Awaitable[None]],
        note: Callable[[Sequence[RowLock]], None],
    ) -> None:
        self._left: dict[int, T] = {}
        self._orders: set[OrderId] = set()
        self._order_of = order_of
        self._work = work
        self._give_up = give_up
        self._note = note
        self._in_vain = 0

    @property
    def waiting(self) -> Sequence[T]:
        """Return the items that were left behind."""
        return list(self._left.values())

    def leave(self, items: Sequence[T], orders: set[OrderId]) -> Sequence[T]:
        """Leave the items of these orders, and of orders that were left before; return the others."""
        self._orders |= orders
        if not self._orders:
            return items
        stay = [item for item in items if self._order_of(item) in self._orders]
        self._keep(stay)
        return [item for item in items if self._order_of(item) not in self._orders] if stay else items

    async def work(self, piece: Sequence[T]) -> None:
        """Work on a piece, except items that need held rows. Raises TooLarge if we cannot find which ones do."""
        piece = self.leave(piece, set())
        while piece:
            if self._in_vain > IN_VAIN_MAX:
                self._leave_all(piece)
                return
            try:
                await self._work(piece)
            except Blocked as blocked:
                self._in_vain += 1
                orders = self._choose(piece, blocked.locks.rows)
                if orders:
                    piece = self.leave(piece, orders)
                elif len(piece) == 1:
                    self._leave_all(piece)
                    return
                elif self._in_vain > 1:
                    raise TooLarge("the items that wait cannot be found") from blocked
            else:
                return

    async def give_up(self, item: T, error: Exception) -> None:
        """Give up an item. If even that waits in vain for the row of its order, leave the item."""
        try:
            await self._give_up(item, error)
        except Blocked:
            self._leave_all([item])

    def _choose(self, piece: Sequence[T], rows: Sequence[RowLock]) -> set[OrderId]:
        """Return the orders to leave: those whose own rows are held, or, if there are none, those that need held goods.

        Not both at once: in a batch that does not touch goods no order must wait for goods.
        """
        there: set[Any] = {self._order_of(item) for item in piece}
        for goods in (False, True):
            chosen = [lock for lock in rows if (lock.table == STOCK) is goods and lock.needed_by & there]
            if chosen:
                self._note(chosen)
                return {order_id for lock in chosen for order_id in lock.needed_by}
        return set()

    def _keep(self, items: Sequence[T]) -> None:
        """Remember items as left, each once: a piece that is cut comes again, with them."""
        self._left |= {id(item): item for item in items}

    def _leave_all(self, piece: Sequence[T]) -> None:
        self._keep(piece)
        self._orders |= {order_id for item in piece if (order_id := self._order_of(item)) is not None}


def _now() -> float:
    return asyncio.get_running_loop().time()

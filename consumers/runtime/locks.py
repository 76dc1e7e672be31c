"""Rows that somebody else holds: what needs them waits, everything else goes on, and an operator is told by whom.

A batch is one transaction, so one row that an operator's psql has locked would hold up a thousand orders. Once a
transaction has waited in vain we ask who holds what (outbox/store/locks.py), take what needs that out of the batch, and
run the rest at once. What was taken out is tried again every second: asking comes first then, so that nobody waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import structlog

from consumers.runtime.cutting import in_pieces
from consumers.runtime.trip import STOCK, Blocked, Trip
from domain.alarms import Lasting
from domain.errors import Busy, Transient
from domain.ids import OrderId
from domain.ports.locks import Holder, Locks, RowLock, TableLock, describe_holder
from domain.ports.store import Store

T = TypeVar("T")
R = TypeVar("R")

RETRY_S: Final = 1.0
"""Until what waits for a row is tried again."""
APART_S: Final = 0.3
"""Between two looks: what one transaction holds in both is held for long. Ours hold a row for some milliseconds."""
FORGOTTEN_S: Final = 60.0
"""A row about which nobody asks any more: its partition is another's."""
HIDDEN_S: Final = 10.0
"""Orders that wait for so long though no row is seen to be held are an alarm.

So long transactions wait half a second only, once there was a search. On a busy machine those of ours need longer, in
turns: an order may wait for them again and again, and no look finds the same one twice. That is no alarm.
"""
NAMED_MAX: Final = 20
"""Rows and orders in a line of the log."""
FREE: Final = "the row is free; what waited for it goes on"


class LockWatch:
    """Sees who holds what, and rings once for each session that does. Shared by all loops of a process."""

    def __init__(self, store: Store, *, apart_s: float = APART_S) -> None:
        self._store = store
        self._apart_s = apart_s
        self._held: dict[object, Lasting] = {}
        # Which row each loop knows to be held, and by whom.
        self._known: dict[tuple[int, str, str], object] = {}
        self._log = structlog.get_logger("consumers.locks")

    async def find(self, order_ids: Sequence[OrderId], *, goods: bool = True, at_row: bool = False) -> Locks:
        """Return rows that these orders need and that are held for long. Raises Busy if it must be a table.

        goods: whether goods are needed. at_row: somebody waited for a row, so it is no table.
        """
        first = await self._store.locks(order_ids)
        if not first.tables and not first.rows:
            return first
        await asyncio.sleep(self._apart_s)
        second = await self._store.locks(order_ids)
        before = {lock.name: lock for lock in first.rows}
        rows = [lock for lock in second.rows if lock.name in before and lock.lasts(before[lock.name])]
        rows = [lock for lock in rows if goods or lock.table != STOCK]
        known = {(lock.table, lock.mode, lock.holder.pid) for lock in first.tables}
        tables = [lock for lock in second.tables if (lock.table, lock.mode, lock.holder.pid) in known]
        if tables and (second.blind or not (rows or at_row)):
            raise Busy("; ".join(map(_tell_table, tables[:NAMED_MAX])))
        return Locks(rows=tuple(rows))

    async def still_held(
        self, order_ids: Sequence[OrderId], known: Mapping[tuple[str, str], RowLock]
    ) -> Sequence[RowLock] | None:
        """Return those of these rows that are held still; None if nobody can see. order_ids: those to ask about."""
        found = await self._store.locks(order_ids)
        if found.blind:
            return None
        return [lock for lock in found.rows if lock.name in known and lock.lasts(known[lock.name])]

    def note(self, who: object, rows: Sequence[RowLock]) -> None:
        """Take down that these rows hold up this loop; ring for who holds them."""
        by_holder: dict[object, list[RowLock]] = {}
        for lock in rows:
            holder: object = lock.table if lock.holder is None else lock.holder.pid
            by_holder.setdefault(holder, []).append(lock)
            place = (id(who), *lock.name)
            before, self._known[place] = self._known.get(place, holder), holder
            if before != holder:
                self._end_unless_known(before)
        for holder, locks in by_holder.items():
            needed_by = sorted({order_id for lock in locks for order_id in lock.needed_by})
            self._ring(
                holder,
                needed_by,
                {"table": locks[0].table, "rows": [lock.key for lock in locks][:NAMED_MAX]},
                locks[0].holder,
            )

    def free(self, who: object, names: Sequence[tuple[str, str]]) -> None:
        """Note that these rows hold up this loop no longer."""
        for name in names:
            holder = self._known.pop((id(who), *name), None)
            self._end_unless_known(holder)

    def note_hidden(self, who: object, order_ids: Sequence[OrderId | None]) -> None:
        """Ring for what waits though no row is seen to be held; or note that nothing does any more."""
        if order_ids:
            self._ring(id(who), sorted(name for name in order_ids if name is not None), {}, None)
        elif id(who) in self._held:
            self._held.pop(id(who)).end(_now(), FREE)

    def _end_unless_known(self, holder: object) -> None:
        if holder in self._held and holder not in self._known.values():
            self._held.pop(holder).end(_now(), FREE)

    def _ring(self, key: object, needed_by: Sequence[OrderId], rows: dict[str, Any], holder: Holder | None) -> None:
        self._held.setdefault(key, Lasting(self._log, "lock_held")).again(
            _now(),
            "another session holds a row; orders that need it wait, others go on",
            **rows,
            orders=len(needed_by),
            order_ids=needed_by[:NAMED_MAX],
            **describe_holder(holder),
        )


class Detour(Generic[T]):
    """The way of one loop around held rows. order_of: whose order an item is about, if it is about one.

    needs_goods: whether an item may touch stock; one that does not never waits for goods.
    """

    def __init__(
        self,
        watch: LockWatch,
        order_of: Callable[[T], OrderId | None],
        needs_goods: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._watch = watch
        self._order_of = order_of
        self._needs_goods = needs_goods
        self._known: dict[tuple[str, str], tuple[RowLock, float]] = {}
        # Orders that wait though no row is seen to be held: since when, and when they last did.
        self._hidden: dict[OrderId | None, tuple[float, float]] = {}

    async def run(self, items: Sequence[T], transaction: Awaitable[R]) -> R:
        """Await a transaction over these items; have it taken apart if it waited in vain for rows."""
        try:
            return await transaction
        except Busy as error:
            goods = any(map(self._needs_goods, items))
            locks = await self._watch.find(self._orders(items), goods=goods, at_row=error.at_row)
            raise Blocked(locks) from error

    async def work(
        self,
        items: Sequence[T],
        work: Callable[[Sequence[T]], Awaitable[None]],
        give_up: Callable[[T, Exception], Awaitable[None]],
    ) -> Sequence[T]:
        """Work on all items as in_pieces does, but for those that need a held row; return these.

        An item of an order that waits waits, too: items of an order stay in their order.
        """
        trip = Trip(self._order_of, self._needs_goods, work, give_up, self._note)
        left: Sequence[T] = items
        if self._known:
            left = trip.leave(items, await self._still_blocked(items))
        if left:
            await in_pieces(left, trip.work, trip.give_up)
        if trip.hidden or self._hidden:
            self._note_hidden(items, trip.hidden)
        return trip.waiting

    def _orders(self, items: Sequence[T]) -> list[OrderId]:
        found = dict.fromkeys(self._order_of(item) for item in items)
        return [order_id for order_id in found if order_id is not None]

    def _note(self, rows: Sequence[RowLock]) -> None:
        self._known |= {lock.name: (lock, _now()) for lock in rows}
        self._watch.note(self, rows)

    def _note_hidden(self, items: Sequence[T], hidden: Sequence[T]) -> None:
        """Ring for what has waited for a while though no row is seen to be held; at first it may be for ours."""
        now, tried = _now(), {self._order_of(item) for item in items}
        left = {self._order_of(item) for item in hidden}
        others = {
            name: seen for name, seen in self._hidden.items() if name not in tried and seen[1] >= now - FORGOTTEN_S
        }
        self._hidden = others | {name: (self._hidden.get(name, (now, now))[0], now) for name in left}
        lasting = [name for name in left if now - self._hidden[name][0] >= HIDDEN_S]
        if lasting or not self._hidden:
            self._watch.note_hidden(self, lasting)

    def _forget(self, names: Sequence[tuple[str, str]]) -> None:
        for name in names:
            del self._known[name]
        self._watch.free(self, names)

    async def _still_blocked(self, items: Sequence[T]) -> set[OrderId]:
        """Ask about the rows that were held a moment ago; return the orders that have to wait for them."""
        oldest = _now() - FORGOTTEN_S
        self._forget([name for name, (_, at) in self._known.items() if at < oldest])
        known = {name: lock for name, (lock, _) in self._known.items()}
        need_goods = {self._order_of(item) for item in items if self._needs_goods(item)}
        ids, by_goods = self._orders(items), need_goods and any(table == STOCK for table, _ in known)
        waited = {order_id for lock in known.values() for order_id in lock.needed_by}
        asked = ids if by_goods else [order_id for order_id in ids if order_id in waited]
        if not asked:
            return set()
        try:
            held = await self._watch.still_held(asked, known)
        except Transient:
            return set()  # whoever works meets it, too, and waits
        if held is None:
            held = list(known.values())
        else:
            about, names = set(asked), {lock.name for lock in held}
            self._forget([name for name, lock in known.items() if lock.needed_by & about and name not in names])
            self._note(held)
        return {
            order_id for lock in held for order_id in lock.needed_by if lock.table != STOCK or order_id in need_goods
        }


def _tell_table(lock: TableLock) -> str:
    said = ", ".join(f"{name} {value}" for name, value in describe_holder(lock.holder).items())
    return f"table {lock.table} is held ({lock.mode}) by another session: {said}"


def _now() -> float:
    return asyncio.get_running_loop().time()

"""One batch on its way around held rows: what needs them is left, the rest is worked on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from consumers.runtime.cutting import TooLarge
from domain.ids import OrderId
from domain.ports.locks import Locks, RowLock

T = TypeVar("T")

IN_VAIN_MAX: Final = 12
"""So many transactions of one batch may wait in vain. Then no piece is cut any more: each is done, or waits as a whole.
One that waits among 1,000 takes ten."""
STOCK: Final = "stock"


class Blocked(Exception):  # noqa: N818 - it answers a question, it is no fault
    """A transaction waited in vain for rows. locks: those that are held, if any can be told."""

    def __init__(self, locks: Locks) -> None:
        super().__init__("another session holds a row")
        self.locks = locks


class Trip(Generic[T]):
    """One batch on its way around held rows: what is left of it, the items of an order in their order."""

    def __init__(
        self,
        order_of: Callable[[T], OrderId | None],
        needs_goods: Callable[[T], bool],
        work: Callable[[Sequence[T]], Awaitable[None]],
        give_up: Callable[[T, Exception], Awaitable[None]],
        note: Callable[[Sequence[RowLock]], None],
    ) -> None:
        self.hidden: list[T] = []
        """What was left though nobody can tell what it waits for."""
        self._left: dict[int, T] = {}
        self._orders: set[OrderId] = set()
        self._order_of = order_of
        self._needs_goods = needs_goods
        self._work = work
        self._give_up = give_up
        self._note = note
        self._in_vain = 0

    @property
    def waiting(self) -> Sequence[T]:
        """Return what was left."""
        return list(self._left.values())

    def leave(self, items: Sequence[T], orders: set[OrderId]) -> Sequence[T]:
        """Leave the items of these orders, and of those that were left before; return the others."""
        self._orders |= orders
        if not self._orders:
            return items
        stay = [item for item in items if self._order_of(item) in self._orders]
        self._keep(stay)
        return [item for item in items if self._order_of(item) not in self._orders] if stay else items

    async def work(self, piece: Sequence[T]) -> None:
        """Work on a piece, without what needs held rows. Raises TooLarge if nobody can tell which of it does."""
        piece = self.leave(piece, set())
        while piece:
            try:
                await self._work(piece)
            except Blocked as blocked:
                self._in_vain += 1
                orders = self._choose(piece, blocked.locks.rows)
                if orders:
                    piece = self.leave(piece, orders)
                elif len(piece) == 1 or self._in_vain > IN_VAIN_MAX:
                    self._leave_all(piece)
                    return
                elif self._in_vain > 1:
                    raise TooLarge("nobody can tell who waits") from blocked
            else:
                return

    async def give_up(self, item: T, error: Exception) -> None:
        """Give up an item; if even that waits in vain for its order's row, it is left."""
        try:
            await self._give_up(item, error)
        except Blocked as blocked:
            if orders := self._choose([item], blocked.locks.rows):
                self.leave([item], orders)
            else:
                self._leave_all([item])

    def _choose(self, piece: Sequence[T], rows: Sequence[RowLock]) -> set[OrderId]:
        """Return the orders to leave: those whose own rows are held, or else those that need held goods.

        Not both at once: of a batch that does not touch goods none shall wait for them.
        """
        for goods in (False, True):
            there: set[Any] = {self._order_of(i) for i in piece if not goods or self._needs_goods(i)}
            chosen = [lock for lock in rows if (lock.table == STOCK) is goods and lock.needed_by & there]
            if chosen:
                self._note(chosen)
                return {order_id for lock in chosen for order_id in lock.needed_by} & there
        return set()

    def _keep(self, items: Sequence[T]) -> None:
        """Keep items as left: once each, for a piece that is cut comes again with what was left of it."""
        self._left |= {id(item): item for item in items}

    def _leave_all(self, piece: Sequence[T]) -> None:
        self._keep(piece)
        self.hidden += piece
        self._orders |= {order_id for item in piece if (order_id := self._order_of(item)) is not None}

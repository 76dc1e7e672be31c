"""What the jobs of the sweep have in common: look for work in portions, and do it for the orders found."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Guard
from consumers.runtime.locks import Detour, LockWatch
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.work import Work
from domain.blame import blame
from domain.errors import Busy, TooMuch
from domain.ids import OrderId
from domain.order import Order
from domain.ports.store import Transaction
from domain.reaction import Reaction
from domain.rules import Rules

CLAIM_MAX: Final = 500
"""Orders or operations in one portion, at most."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """What every job works with."""

    ports: Ports
    reactions: Mapping[str, Reaction]
    rules: Rules
    guard: Guard
    quarantine: Quarantine
    watch: LockWatch


class Job(ABC):
    """One kind of work. name: what it is called in the log."""

    name: str

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._most = CLAIM_MAX
        self._log = structlog.get_logger("consumers.sweep")

    @abstractmethod
    async def do(self, stop: asyncio.Event | None) -> int:
        """Look for work once and do it; return how many operations were begun.

        stop: None, if this is done only once: then an outage or a held row raises Transient, and is not waited for.
        """

    def woken(self) -> Coroutine[Any, Any, object] | None:
        """Return what ends before there may be new work; None: nothing tells, so look again after a while."""
        return None

    async def end(self, stop: asyncio.Event) -> None:  # noqa: B027 - most have nothing under way between their turns
        """Finish what is under way: the process stops."""

    def break_off(self) -> None:  # noqa: B027 - as above
        """Leave what could not be finished."""

    async def _look(self, look: Callable[[int], Awaitable[T]], stop: asyncio.Event | None) -> T:
        """Look for one portion. After the database has given up, the next is half as large; then it grows again."""

        async def look_once(_contended: bool) -> T:  # noqa: FBT001 - as the guard calls
            try:
                found = await look(self._most)
            except TooMuch:
                self._most = max(self._most // 2, 1)
                raise
            self._most = min(self._most * 2, CLAIM_MAX)
            return found

        return await self._tools.guard.transact(self.name, look_once, stop, apart=True, patient=stop is not None)

    def _begin(self, transaction: Transaction, orders: Mapping[OrderId, Order]) -> Work:
        return Work(transaction, orders, self._tools.reactions, self._tools.rules)


class OrderJob(Job):
    """A job that is one transaction over the orders found."""

    def __init__(self, tools: Tools, every_s: float = 0) -> None:
        super().__init__(tools)
        self._every_s = every_s
        self._next_s = 0.0
        self._detour: Detour[OrderId] = Detour(tools.watch, lambda order_id: order_id)

    @abstractmethod
    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders to work on."""

    @abstractmethod
    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Do the work in one transaction."""

    async def do(self, stop: asyncio.Event | None) -> int:
        """Do the work for all orders found; one that raises is put in quarantine, and passed over from then on.

        An order whose row another session holds is passed over this time.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_s:
            return 0
        self._next_s = now + self._every_s
        detour, quarantine, patient = self._detour, self._tools.quarantine, stop is not None

        async def transact(piece: Sequence[OrderId], run: Callable[[], Awaitable[None]]) -> None:
            await self._tools.guard.transact(self.name, lambda _: detour.run(piece, run()), stop, patient=patient)

        async def work(piece: Sequence[OrderId]) -> None:
            await transact(piece, lambda: or_cut(piece, self.work(piece)))

        async def set_aside(order_id: OrderId, error: Exception) -> None:
            blamed = blame(error, order_id)
            await transact([order_id], lambda: quarantine.set_aside_order(order_id, blamed))

        order_ids = await self._look(self.find, stop)
        if order_ids and await detour.work(order_ids, work, set_aside) and not patient:
            raise Busy("another session holds a row that the sweep needs")
        return 0

"""Booking what the gateway told: many items, each about one order, in transactions over many orders."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from consumers.runtime.cutting import or_cut
from consumers.runtime.locks import Detour
from consumers.runtime.sweep.job import CLAIM_MAX, Tools
from domain.blame import blame
from domain.ids import OrderId

T = TypeVar("T")


class Booking(Generic[T]):
    """settle: books items in one transaction. order_of: the order that an item is about.

    An order that raises is put in quarantine. One whose row another session holds is passed over.
    """

    def __init__(
        self,
        tools: Tools,
        name: str,
        order_of: Callable[[T], OrderId],
        settle: Callable[[Sequence[T]], Awaitable[None]],
    ) -> None:
        self._tools = tools
        self._name = name
        self._order_of = order_of
        self._settle = settle
        self._detour: Detour[T] = Detour(tools.watch, order_of)

    async def book(self, items: Sequence[T], stop: asyncio.Event | None) -> bool:
        """Book these; return whether some are left, because another session holds a row of their orders."""
        left = False
        for n in range(0, len(items), CLAIM_MAX):
            left |= await self._book(items[n : n + CLAIM_MAX], stop)
        return left

    async def _book(self, items: Sequence[T], stop: asyncio.Event | None) -> bool:
        tools, patient = self._tools, stop is not None

        async def work(piece: Sequence[T]) -> None:
            await tools.guard.transact(
                self._name, lambda _: self._detour.run(piece, or_cut(piece, self._settle(piece))), stop, patient=patient
            )

        async def set_aside(item: T, error: Exception) -> None:
            order_id = self._order_of(item)
            blamed = blame(error, order_id)
            await tools.guard.transact(
                self._name,
                lambda _: self._detour.run([item], tools.quarantine.set_aside_order(order_id, blamed)),
                stop,
                patient=patient,
            )

        return bool(await self._detour.work(items, work, set_aside))

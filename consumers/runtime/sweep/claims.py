"""Operations that are due: unknown, postponed, or left by a process that is gone."""

import asyncio
from collections.abc import Callable, Sequence

from consumers.runtime.bounds import Bounds
from consumers.runtime.edges import Edge
from consumers.runtime.sweep.job import Job, Tools
from domain.ports.store import Claimed

WithoutKept = Callable[[Sequence[Claimed]], Sequence[Claimed]]
"""See Settler.without_kept: of these, the operations whose answers are not kept here."""


class DueOperations(Job):
    """Claims operations that are due at the gateway and has them performed.

    It takes as many as this process and the breaker have room for.
    """

    name = "sweep claims"

    def __init__(self, tools: Tools, bounds: Bounds, edge: Edge, without_kept: WithoutKept) -> None:
        super().__init__(tools)
        self._open_max = bounds.operations_open_max
        self._breaker = edge.breaker
        self._performer = edge.performer
        self._without_kept = without_kept

    async def do(self, stop: asyncio.Event | None) -> int:
        """Claim one portion."""
        if stop is None and not self._breaker.is_down:
            # Who sweeps once does all that is due, and nothing wakes it later: so wait for the next second of the ramp.
            await self._breaker.wait_until_closed()
        return await self._look(self._claim, stop)

    async def _claim(self, most: int) -> int:
        limit = self._breaker.room(min(most, self._open_max - len(self._performer.open)))
        if limit <= 0:
            return 0
        claimed = await self._take(limit)
        asked = self._without_kept(claimed)
        self._performer.submit(asked)
        return len(asked)

    async def _take(self, limit: int) -> Sequence[Claimed]:
        return await self._tools.ports.store.claim_due(limit, self._tools.rules.lease_s)


class DueStockCalls(DueOperations):
    """Claims operations that are due at an inventory elsewhere: the gateway's trouble does not hold them up."""

    name = "sweep inventory claims"

    async def _take(self, limit: int) -> Sequence[Claimed]:
        return await self._tools.ports.store.claim_stock_calls(limit, self._tools.rules.lease_s)

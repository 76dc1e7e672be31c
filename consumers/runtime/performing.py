"""Performing operations at an edge: many at once, each under its lease, and no transaction open meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from consumers.runtime.calling import Caller, EdgeCalls, PutAnswers, by_id
from consumers.runtime.lease import Lease
from consumers.runtime.open_operations import OpenOperations
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.ramp import Ramp
from domain.errors import DownForEverybody, Transient
from domain.outcome import Unknown
from domain.ports.gateway import GatewayAnswer
from domain.ports.store import Claimed, Store
from domain.rules import Rules

IDS_MAX: Final = 20
"""Ids in a line of the log, at most."""
_NO_ANSWER: Final = Unknown("no answer before the lease ended")


class OperationPerformer:
    """Performs operations whose lease this process holds; `put` gets their answers. open: those without one.

    caller: who makes the calls, which make_call builds.
    """

    def __init__(
        self,
        caller: Caller[Any],
        make_call: Callable[[Claimed], Any],
        store: Store,
        rules: Rules,
        bounds: Bounds,
        breaker: Breaker,
        put: PutAnswers,
    ) -> None:
        self._store = store
        self._rules = rules
        self._bounds = bounds
        self._breaker = breaker
        self.open = OpenOperations(bounds.operations_open_max)
        quarantine = Quarantine(store, bounds.quarantine_max)
        self._calls = EdgeCalls(caller, make_call, rules, self.open, breaker, quarantine, put)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Queue[BaseException] = asyncio.Queue()
        self._log = structlog.get_logger("consumers.performer")

    @property
    def busy(self) -> bool:
        """Whether calls run."""
        return bool(self._tasks)

    def submit(self, claimed: Sequence[Claimed]) -> None:
        """Begin to perform these operations; after an outage as many at a time as the breaker's ramp permits."""
        if not claimed:
            return
        self.open.add(claimed)
        self._breaker.note_begin()
        ramp = self._breaker.ramp
        self._start(self._perform(claimed) if ramp is None else self._perform_gradually(ramp, claimed))

    async def watch(self) -> None:
        """Raise what a task raised: a bug, which stops the process."""
        raise await self._failed.get()

    async def drain(self) -> None:
        """Wait until no call runs."""
        while self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def give_up(self) -> None:
        """Stop waiting for answers. Operations without an answer are free for other processes at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_back(self.open.all())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def _perform_gradually(self, ramp: Ramp, claimed: Sequence[Claimed]) -> None:
        """Begin each portion as soon as it may begin.

        What no longer may is left to the sweep: since the other side is down again, or their lease covers no call any
        more. Those would else count as begun, and nobody would be called.
        """
        lease = Lease(claimed, self._rules, self._bounds)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(lease.last_call_at):
                while claimed and not lease.is_too_late and (begin := await ramp.take(len(claimed))):
                    self._start(self._perform(claimed[:begin]))
                    claimed = claimed[begin:]
        await self._let_go(claimed)

    async def _perform(self, claimed: Sequence[Claimed]) -> None:
        """Perform or look up, until all have an answer or the lease no longer covers the calls."""
        lease = Lease(claimed, self._rules, self._bounds)
        try:
            async with asyncio.timeout_at(lease.ends_at):
                await self._calls.make(claimed, lease)
        except TimeoutError:
            left = self.open.still(claimed)
            orders = [c.operation.order_id for c in left[:IDS_MAX]]
            self._log.warning("lease over before the answer", operations=len(left), order_ids=orders)
        except DownForEverybody as error:
            self._breaker.trip(str(error))
            await self._let_go(self.open.still(claimed))
            return
        left = self.open.still(claimed)
        begun = [c for c in left if lease.has_begun(c)]
        self._calls.hand_on([GatewayAnswer(c.operation.operation_id, _NO_ANSWER) for c in begun], by_id(begun), lease)
        await self._let_go([c for c in left if not lease.has_begun(c)])

    async def _let_go(self, claimed: Sequence[Claimed]) -> None:
        """Leave operations that were not called to other processes."""
        await self._give_back(claimed)
        self.open.remove(claimed)

    async def _give_back(self, claimed: Sequence[Claimed]) -> None:
        try:
            await self._store.give_back([c.operation for c in claimed])
        except Transient:
            self._log.warning("leases not given back; they run out by themselves", operations=len(claimed))

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.put_nowait(error)

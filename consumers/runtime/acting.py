"""Performing operations at the gateway: concurrently, only under the lease, with no transaction open meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog

from consumers.runtime.cutting import is_theirs
from consumers.runtime.guard import Breaker
from consumers.runtime.lease import Lease
from consumers.runtime.ports import Bounds
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.settling import Answer
from domain.blame import blame
from domain.errors import DownForEverybody, Transient
from domain.operating import Move, gateway_call, may_send_again, next_move
from domain.operation import GatewayCall
from domain.outcome import NotExecuted, NotFound, Unknown
from domain.ports.gateway import Gateway, GatewayAnswer
from domain.ports.store import Claimed, Store
from domain.rules import Rules
from domain.values import replace

IDS_MAX: Final = 20
"""So many ids in a line of the log, at the most."""
_NO_ANSWER: Final = Unknown("no answer before the lease ended")


class Actor:
    """Performs operations whose lease this process holds, and puts their answers."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        rules: Rules,
        bounds: Bounds,
        breaker: Breaker,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._rules = rules
        self._bounds = bounds
        self._breaker = breaker
        self._quarantine = Quarantine(store, bounds.quarantine_max)
        self._tasks: set[asyncio.Task[None]] = set()
        # By the number of the operation's id, for a UUID hashes in Python.
        self._open: dict[int, Claimed] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._log = structlog.get_logger("consumers.actor")
        self.put: Callable[[Sequence[Answer]], None] = lambda _: None
        self._failed: asyncio.Queue[BaseException] = asyncio.Queue()

    @property
    def open_count(self) -> int:
        """How many operations of this process have no answer yet."""
        return len(self._open)

    @property
    def busy(self) -> bool:
        """Whether calls run."""
        return bool(self._tasks)

    def submit(self, claimed: Sequence[Claimed]) -> None:
        """Begin to perform these operations."""
        if not claimed:
            return
        for c in claimed:
            self._open[c.operation.operation_id.int] = c
        self._set_room()
        self._breaker.begun()
        task = asyncio.get_running_loop().create_task(self._act(claimed))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def room(self) -> None:
        """Wait until this process may open more operations."""
        await self._room.wait()

    async def watch(self) -> None:
        """Raise what a task raised: a bug, which stops the process."""
        raise await self._failed.get()

    async def drained(self) -> None:
        """Wait until every operation has its answer."""
        while self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def give_up(self) -> None:
        """Stop waiting for answers; the operations without one are free for others at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_back(list(self._open.values()))

    async def _act(self, claimed: Sequence[Claimed]) -> None:
        """Perform or look up, until all have an answer or the lease does not cover the calls any more."""
        lease = Lease(claimed, self._rules, self._bounds)
        try:
            async with asyncio.timeout_at(lease.ends_at):
                await self._go_on_or_cut(claimed, lease)
        except TimeoutError:
            left = self._without_answer(claimed)
            orders = [c.operation.order_id for c in left[:IDS_MAX]]
            self._log.warning("lease over before the answer", operations=len(left), order_ids=orders)
        except DownForEverybody as error:
            self._breaker.trip(str(error))
            await self._let_go(self._without_answer(claimed))
            return
        left = self._without_answer(claimed)
        begun = [c for c in left if lease.has_begun(c)]
        self._answered([GatewayAnswer(c.operation.operation_id, _NO_ANSWER) for c in begun], _by_id(begun))
        await self._let_go([c for c in left if not lease.has_begun(c)])

    async def _go_on_or_cut(self, claimed: Sequence[Claimed], lease: Lease) -> None:
        """Go on; where that raises, halve what has no answer until the one is found.

        What became of calls that ran meanwhile nobody knows; asking again by the same keys is safe.
        """
        try:
            await self._go_on(claimed, lease)
        except Exception as error:
            if not is_theirs(error):
                raise
            raised = error
        else:
            return
        left = self._without_answer(claimed)
        self._log.warning("calls raised", operations=len(left), error=type(raised).__name__)
        if len(left) == 1:
            await self._give_up(left[0], raised)
        elif left:
            halves = (left[: len(left) // 2], left[len(left) // 2 :])
            parts = [self._go_on_or_cut(half, lease) for half in halves]
            for failure in await asyncio.gather(*parts, return_exceptions=True):
                if failure is not None:
                    raise failure

    async def _give_up(self, claimed: Claimed, error: Exception) -> None:
        """Keep an operation whose call raises, for an operator."""
        operation = claimed.operation
        blamed = blame(error, operation.order_id, operation.transaction_id, operation.reference, claimed.token)
        try:
            await self._quarantine.operation(operation.order_id, operation.operation_id, blamed)
        except Transient as down:
            self._log.warning("not put in quarantine; it will raise again when it is tried again", error=str(down))
        else:
            self._forget(claimed)

    async def _go_on(self, claimed: Sequence[Claimed], lease: Lease) -> None:
        perform: list[Claimed] = []
        look_up: list[Claimed] = []
        for c in claimed:
            move = next_move(c.operation, self._asked_at(c), self._rules)
            (perform if move is Move.PERFORM else look_up).append(c)
        if look_up:
            perform += await self._look_up(look_up, lease)
        if perform:
            await self._take(perform, lease)

    async def _look_up(self, claimed: Sequence[Claimed], lease: Lease) -> list[Claimed]:
        """Ask what became of them; return those that left no trace and may be sent again by the same key."""
        again: list[Claimed] = []
        by_id = _by_id(claimed)
        calls = [call for call in _calls(claimed) if lease.begin(call)]
        async with _closing(self._gateway.look_up(calls)) as groups:
            async for group in groups:
                known: list[GatewayAnswer] = []
                for answer in group:
                    c = by_id[answer.operation_id.int]
                    not_found = isinstance(answer.outcome, NotFound)
                    if not_found and may_send_again(c.operation, self._asked_at(c), self._rules):
                        lease.found_nothing(c)
                        again.append(c)
                    else:
                        known.append(answer)
                self._answered(known, by_id, "look-up of ")
        return again

    async def _take(self, claimed: Sequence[Claimed], lease: Lease) -> None:
        by_id = _by_id(claimed)
        async with _closing(self._gateway.perform(_calls(claimed), lease.begin)) as groups:
            async for group in groups:
                self._answered(group, by_id)

    def _answered(self, group: Sequence[GatewayAnswer], by_id: dict[int, Claimed], asked: str = "") -> None:
        if not group:
            return
        for answer in group:
            outcome, kind = answer.outcome, by_id[answer.operation_id.int].operation.kind
            call = f"{asked}{kind}" if asked else kind
            if not isinstance(outcome, Unknown | NotExecuted):
                self._breaker.answered(call)
            elif outcome.forbidden:
                self._breaker.forbidden(call, outcome.detail)
            else:
                self._breaker.failed(outcome.detail)
        answers = []
        for answer in group:
            outcome, c = answer.outcome, by_id[answer.operation_id.int]
            self._forget(c)
            if isinstance(outcome, NotExecuted) and self._breaker.is_down:
                outcome = replace(outcome, everybody=True)  # the same answer, and why it came
            answers.append(Answer(c.operation.order_id, answer.operation_id, outcome, c.operation.due_at))
        self._set_room()
        self.put(answers)

    def _asked_at(self, claimed: Claimed) -> datetime:
        """Return the database's time of the claim: the lease's end less its length."""
        due_at = claimed.operation.due_at
        assert due_at is not None
        return due_at - timedelta(seconds=self._rules.lease_s)

    def _without_answer(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        return [c for c in claimed if self._open.get(c.operation.operation_id.int) is c]

    def _forget(self, claimed: Claimed) -> None:
        """Take an operation for done here, unless this process has claimed it anew since."""
        number = claimed.operation.operation_id.int
        if self._open.get(number) is claimed:
            del self._open[number]

    async def _let_go(self, claimed: Sequence[Claimed]) -> None:
        """Leave operations to others that were not called."""
        await self._give_back(claimed)
        for c in claimed:
            self._forget(c)
        self._set_room()

    async def _give_back(self, claimed: Sequence[Claimed]) -> None:
        try:
            await self._store.give_back([c.operation for c in claimed])
        except Transient:
            self._log.warning("leases not given back; they run out by themselves", operations=len(claimed))

    def _set_room(self) -> None:
        if len(self._open) < self._bounds.operations_open_max:
            self._room.set()
        else:
            self._room.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed.put_nowait(task.exception() or RuntimeError("unreachable"))


def _by_id(claimed: Sequence[Claimed]) -> dict[int, Claimed]:
    return {c.operation.operation_id.int: c for c in claimed}


def _calls(claimed: Sequence[Claimed]) -> list[GatewayCall]:
    return [gateway_call(c.operation, c.token) for c in claimed]


@asynccontextmanager
async def _closing(
    groups: AsyncIterator[Sequence[GatewayAnswer]],
) -> AsyncIterator[AsyncIterator[Sequence[GatewayAnswer]]]:
    """End the iteration with the block, so that calls which nobody waits for are cancelled at once."""
    try:
        yield groups
    finally:
        if isinstance(groups, AsyncGenerator):
            await groups.aclose()

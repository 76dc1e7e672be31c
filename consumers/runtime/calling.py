"""The calls of operations at an edge: which are made, which are looked up first, what becomes of their answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog

from consumers.runtime.answers import Answer
from consumers.runtime.breaker import Breaker
from consumers.runtime.cutting import is_theirs
from consumers.runtime.lease import Lease
from consumers.runtime.open_operations import OpenOperations
from consumers.runtime.quarantine import Quarantine
from domain.blame import blame
from domain.errors import Transient
from domain.operating import Move, lacks_token, may_send_again, next_move
from domain.outcome import NotExecuted, NotFound, Unknown
from domain.ports.gateway import GatewayAnswer
from domain.ports.inventory import InventoryAnswer
from domain.ports.store import Claimed
from domain.rules import Rules
from domain.values import replace

PutAnswers = Callable[[Sequence[Answer]], None]
EdgeAnswer = GatewayAnswer | InventoryAnswer
Call = TypeVar("Call")


class Caller(Protocol[Call]):
    """Who makes the calls: domain.ports.gateway.Gateway or domain.ports.inventory.RemoteInventory."""

    def perform(self, calls: Sequence[Call], begin: Callable[[Call], bool]) -> AsyncIterator[Sequence[EdgeAnswer]]:
        """Make the calls."""
        ...

    def look_up(self, calls: Sequence[Call]) -> AsyncIterator[Sequence[EdgeAnswer]]:
        """Ask what became of them."""
        ...


class EdgeCalls:
    """Makes calls under a lease and passes their answers to `put`. make_call: builds the call of an operation."""

    def __init__(
        self,
        caller: Caller[Any],
        make_call: Callable[[Claimed], Any],
        rules: Rules,
        open_operations: OpenOperations,
        breaker: Breaker,
        quarantine: Quarantine,
        put: PutAnswers,
    ) -> None:
        self._caller = caller
        self._make_call = make_call
        self._rules = rules
        self._open = open_operations
        self._breaker = breaker
        self._quarantine = quarantine
        self._put = put
        self._log = structlog.get_logger("consumers.performer")

    async def make(self, claimed: Sequence[Claimed], lease: Lease) -> None:
        """Perform or look up these operations. If that raises, halve those without an answer until one is left.

        Nobody knows what became of calls that ran meanwhile. To ask again by the same keys is safe.
        """
        try:
            await self._make(claimed, lease)
        except Exception as error:
            if not is_theirs(error):
                raise
            raised = error
        else:
            return
        left = self._open.still(claimed)
        self._log.warning("calls raised", operations=len(left), error=type(raised).__name__)
        if len(left) == 1:
            await self._set_aside(left[0], raised)
        elif left:
            halves = (left[: len(left) // 2], left[len(left) // 2 :])
            parts = [self.make(half, lease) for half in halves]
            for failure in await asyncio.gather(*parts, return_exceptions=True):
                if failure is not None:
                    raise failure

    def hand_on(self, group: Sequence[EdgeAnswer], claimed: dict[int, Claimed], lease: Lease, asked: str = "") -> None:
        """Tell the breaker of these answers, and put them. asked: what was asked, if not the call itself."""
        if not group:
            return
        for answer in group:
            outcome, kind = answer.outcome, claimed[answer.operation_id.int].operation.kind
            call = f"{asked}{kind}" if asked else kind
            if not isinstance(outcome, Unknown | NotExecuted):
                self._breaker.note_answer(call)
            elif isinstance(outcome, NotExecuted) and outcome.not_asked:
                self._log.warning("not called", kind=kind, why=outcome.detail)
            elif outcome.forbidden:
                self._breaker.note_forbidden(call, outcome.detail)
            else:
                self._breaker.note_failure(outcome.detail, lease.taken_at)
        answers = []
        for answer in group:
            outcome, operation = answer.outcome, claimed[answer.operation_id.int].operation
            if isinstance(outcome, NotExecuted) and self._breaker.is_down:
                outcome = replace(outcome, everybody=True)  # the same answer, and why it came
            order_id, due_at = operation.order_id, operation.due_at
            answers.append(Answer(order_id, answer.operation_id, outcome, due_at, operation, answer.request_id))
        self._open.remove([claimed[answer.operation_id.int] for answer in group])
        self._put(answers)

    async def _make(self, claimed: Sequence[Claimed], lease: Lease) -> None:
        perform: list[Claimed] = []
        look_up: list[Claimed] = []
        for c in claimed:
            move = next_move(c.operation, self._claimed_at(c), self._rules)
            performs = move is Move.PERFORM and not lacks_token(c.operation, c.token)
            (perform if performs else look_up).append(c)
        if look_up:
            perform += await self._admit(await self._look_up(look_up, lease))
        if perform:
            known = by_id(perform)
            async with _closing(self._caller.perform(self._calls(perform), lease.begin)) as groups:
                async for group in groups:
                    self.hand_on(group, known, lease)

    async def _look_up(self, claimed: Sequence[Claimed], lease: Lease) -> list[Claimed]:
        """Ask what became of these; return those that left no trace and may be sent again by the same key."""
        again: list[Claimed] = []
        claimed_by_id = by_id(claimed)
        calls = [call for call in self._calls(claimed) if lease.begin(call)]
        async with _closing(self._caller.look_up(calls)) as groups:
            async for group in groups:
                known: list[EdgeAnswer] = []
                for answer in group:
                    c = claimed_by_id[answer.operation_id.int]
                    not_found = isinstance(answer.outcome, NotFound) and not lacks_token(c.operation, c.token)
                    if not_found and may_send_again(c.operation, self._claimed_at(c), self._rules):
                        lease.note_no_trace(c)
                        again.append(c)
                    else:
                        known.append(answer)
                self.hand_on(known, claimed_by_id, lease, "look-up of ")
        return again

    async def _admit(self, again: list[Claimed]) -> list[Claimed]:
        """Return those that may be called behind their look-up: after an outage that is one more call for each.

        The others have not begun, so they are given back, and whoever claims them next looks them up again.
        """
        ramp = self._breaker.ramp
        return again if ramp is None or not again else again[: await ramp.take(len(again), behind=True)]

    async def _set_aside(self, claimed: Claimed, error: Exception) -> None:
        """Put an operation whose call raises in quarantine, for an operator."""
        operation = claimed.operation
        blamed = blame(
            error,
            operation.order_id,
            operation.transaction_id,
            operation.reference,
            operation.frozen,
            claimed.token,
        )
        try:
            await self._quarantine.set_aside_operation(operation.order_id, operation.operation_id, blamed)
        except Transient as down:
            self._log.warning("not put in quarantine; it will raise again when it is tried again", error=str(down))
        else:
            self._open.remove([claimed])

    def _calls(self, claimed: Sequence[Claimed]) -> list[Any]:
        return [self._make_call(c) for c in claimed]

    def _claimed_at(self, claimed: Claimed) -> datetime:
        """Return the database's time of the claim: the end of the lease minus its length."""
        due_at = claimed.operation.due_at
        assert due_at is not None
        return due_at - timedelta(seconds=self._rules.lease_s)


def by_id(claimed: Sequence[Claimed]) -> dict[int, Claimed]:
    """Return them by the number of the operation's id: a UUID is hashed in Python, which is slow."""
    return {c.operation.operation_id.int: c for c in claimed}


@asynccontextmanager
async def _closing(
    groups: AsyncIterator[Sequence[EdgeAnswer]],
) -> AsyncIterator[AsyncIterator[Sequence[EdgeAnswer]]]:
    """End the iteration with the block: then calls that nobody waits for are cancelled at once."""
    try:
        yield groups
    finally:
        if isinstance(groups, AsyncGenerator):
            await groups.aclose()

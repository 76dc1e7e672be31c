"""The settle transaction: a batch of answers, from whoever got them, becomes outcomes of their operations.

All answers that are there are settled together, without waiting for slower ones.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from consumers.runtime.answers import Answer, Answers
from consumers.runtime.bounds import Bounds
from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Guard
from consumers.runtime.locks import RETRY_S, Detour, LockWatch
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
from domain.closing import detail_of
from domain.errors import Busy
from domain.hearing import with_closed
from domain.ids import OrderId
from domain.lease import looks_back, settle_answer
from domain.operation import OperationKind, OperationState
from domain.order import Order
from domain.outcome import Approved, Declined, OtherAmount
from domain.ports.store import Claimed
from domain.reaction import Reaction
from domain.rules import Rules
from domain.values import replace

_SAID: Final = {
    Approved: OperationState.APPROVED,
    OtherAmount: OperationState.APPROVED,
    Declined: OperationState.DECLINED,
}
"""The definite answers that are compared with what stands, if they come late."""


class Settler:
    """Settles answers in batches, and passes the operations that come next to `submit`."""

    def __init__(
        self,
        ports: Ports,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        bounds: Bounds,
        guard: Guard,
        answers: Answers,
        submit: Callable[[Sequence[Claimed]], None],
        watch: LockWatch,
    ) -> None:
        self._ports = ports
        self._reactions = reactions
        self._rules = rules
        self._bounds = bounds
        self._guard = guard
        self._answers = answers
        self._submit = submit
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)
        self._settling = 0
        self._detour: Detour[Answer] = Detour(watch, lambda answer: answer.order_id, _needs_goods)
        # By the number of the operation's id, for a UUID hashes in Python.
        self._kept: dict[int, Answer] = {}
        self._resting: set[int] = set()
        self._log = structlog.get_logger("consumers.settler")

    @property
    def busy(self) -> bool:
        """Whether answers wait or are being settled. Kept ones, whose row is held, do not count."""
        return bool(self._answers) or self._settling > 0

    async def run(self, name: str, *, patient: bool = True) -> None:
        """Settle for ever, one batch after the other. patient: see Guard.transact; it covers held rows, too."""
        while True:
            if not self._answers:
                self._guard.done(name)
                await self._answers.wait()
                continue
            self._settling += 1
            try:
                answers = self._answers.take(self._bounds.batch_max)
                left = await self._detour.work(
                    answers,
                    partial(self._settle_piece, name, patient=patient),
                    partial(self._set_aside, name, patient=patient),
                )
                if left and not patient:
                    raise Busy("another session holds a row that an answer is about; it is asked for again")
                if left or self._kept:
                    self._keep(answers, left)
            finally:
                self._settling -= 1

    def without_kept(self, claimed: Sequence[Claimed]) -> Sequence[Claimed]:
        """Return the operations whose answers are not kept here; the others need not be asked for again.

        A kept answer is from now on under the lease of this claim.
        """
        if not self._kept:
            return claimed
        for c in claimed:
            number = c.operation.operation_id.int
            if number in self._kept:
                self._kept[number] = replace(self._kept[number], lease=c.operation.due_at, operation=c.operation)
        return [c for c in claimed if c.operation.operation_id.int not in self._kept]

    async def give_up(self) -> None:
        """Give back the leases of answers that are kept: whoever has the lease then asks for the answer again."""
        await self._ports.store.give_back([answer.operation for answer in self._kept.values() if answer.operation])

    def _keep(self, answers: Sequence[Answer], left: Sequence[Answer]) -> None:
        """Keep answers whose orders somebody holds, one of an operation, and settle them later. left: of these."""
        for answer in answers:
            self._kept.pop(answer.operation_id.int, None)
            self._resting.discard(answer.operation_id.int)
        if not left:
            return
        if not self._resting:
            asyncio.get_running_loop().call_later(RETRY_S, self._put_back)
        self._kept |= {answer.operation_id.int: answer for answer in left}
        self._resting |= {answer.operation_id.int for answer in left}

    def _put_back(self) -> None:
        resting, self._resting = self._resting, set()
        self._answers.put([self._kept[number] for number in resting])

    async def _settle_piece(self, name: str, answers: Sequence[Answer], *, patient: bool) -> None:
        opened = await self._guard.transact(
            name,
            lambda contended: self._detour.run(answers, or_cut(answers, self._settle(answers, contended=contended))),
            patient=patient,
        )
        self._submit(opened)

    async def _set_aside(self, name: str, answer: Answer, error: Exception, *, patient: bool) -> None:
        """Put the operation in quarantine: its answer raised. The gateway gives the same answer when asked again."""
        blamed = blame(error, answer)
        await self._guard.transact(
            name,
            lambda _: self._detour.run(
                [answer], self._quarantine.set_aside_operation(answer.order_id, answer.operation_id, blamed)
            ),
            patient=patient,
        )

    async def _settle(self, answers: Sequence[Answer], *, contended: bool) -> list[Claimed]:
        async with self._ports.store.transaction(contended=contended) as transaction:
            orders = await transaction.load([answer.order_id for answer in answers])
            for order_id in {a.order_id for a in answers if _looks_back(orders, a)}:  # hardly ever any
                orders[order_id] = with_closed(orders[order_id], await transaction.history(order_id))
            work = Work(transaction, orders, self._reactions, self._rules)
            late = [answer for answer in answers if not self._settle_one(work, answer)]
            opened = await work.finish(self._ports)
            # Last: an operation may have had two answers in this very batch.
            asked = [(answer.order_id, answer.operation_id) for answer in late]
            states = await transaction.states(asked) if asked else {}
        work.report(self._log)
        for answer in late:
            self._compare(answer, states.get(answer.operation_id))
        return opened

    def _settle_one(self, work: Work, answer: Answer) -> bool:
        """Settle an answer; False if its operation is settled already."""
        order = work.order(answer.order_id)
        operation = order.operation(answer.operation_id) if order else None
        if order is None or operation is None:
            return False
        settle = self._reactions[operation.reaction].settle
        context = work.context(operation.causation_id)
        outcome, lease = answer.outcome, answer.lease
        settled = settle_answer(settle, order, operation, outcome, lease, context, answer.request_id)
        work.apply(settled, operation.trace)
        return True

    def _compare(self, answer: Answer, settled: tuple[OperationState, str | None] | None) -> None:
        """Compare an answer with what its operation was settled as: it changes nothing, but may contradict."""
        said = _SAID.get(type(answer.outcome))
        state, detail = settled or (None, None)
        if state is OperationState.NOT_EXECUTED:
            state = OperationState.DECLINED  # an operator's word; a decline agrees with it
        # Of an approval the detail is the amount, if it is another one than we asked for.
        amount_differs = state is OperationState.APPROVED and detail != detail_of(answer.outcome)
        ids = {"order_id": answer.order_id, "operation_id": str(answer.operation_id), "settled_as": state}
        if said is not None and state is not None and (said is not state or amount_differs):
            ring(self._log, "contradiction", "contradicting answer", said=said, **ids)
        else:
            self._log.info("answer to a settled operation", said=type(answer.outcome).__name__, **ids)


def _looks_back(orders: Mapping[OrderId, Order], answer: Answer) -> bool:
    """Whether the answer's order is needed with its closed operations."""
    order = orders.get(answer.order_id)
    operation = None if order is None else order.operation(answer.operation_id)
    return order is not None and operation is not None and looks_back(order, operation, answer.outcome)


def _needs_goods(answer: Answer) -> bool:
    """Whether settling this may touch stock. An authorization does not: of a decline a customer hears at once."""
    return answer.operation is None or answer.operation.kind is not OperationKind.AUTHORIZE

"""The settle transaction: answers, whoever got them, become outcomes of orders, by operation id.

Whatever answers are there are settled together, without waiting for stragglers.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Guard
from consumers.runtime.locks import RETRY_S, Detour, LockWatch
from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
from domain.errors import Busy
from domain.ids import OperationId, OrderId
from domain.lease import settle_answer
from domain.operation import Operation, OperationState
from domain.outcome import Approved, Declined, Outcome
from domain.ports.store import Claimed
from domain.reaction import Reaction
from domain.rules import Rules
from domain.values import Value


class Answer(Value, frozen=True):
    """An outcome of an operation. lease: the operation's due_at while it was called; None: none was asked of it."""

    order_id: OrderId
    operation_id: OperationId
    outcome: Outcome
    lease: datetime | None = None


class Settler:
    """Takes answers and settles them in batches; hands on the operations that come next."""

    def __init__(
        self,
        ports: Ports,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        bounds: Bounds,
        guard: Guard,
        submit: Callable[[Sequence[Claimed]], None],
        watch: LockWatch,
    ) -> None:
        self._ports = ports
        self._reactions = reactions
        self._rules = rules
        self._bounds = bounds
        self._guard = guard
        self._submit = submit
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)
        self._waiting: list[Answer] = []
        self._arrived = asyncio.Event()
        self._settling = 0
        self._detour: Detour[Answer] = Detour(watch, lambda answer: answer.order_id)
        self._kept = 0
        self._log = structlog.get_logger("consumers.settler")

    @property
    def busy(self) -> bool:
        """Whether answers wait or are being settled."""
        return bool(self._waiting) or self._settling > 0 or self._kept > 0

    def put(self, answers: Sequence[Answer]) -> None:
        """Leave answers to be settled."""
        self._waiting += answers
        self._arrived.set()

    async def run(self, name: str) -> None:
        """Settle for ever, one batch after the other."""
        while True:
            if not self._waiting:
                self._arrived.clear()
                self._guard.done(name)
                await self._arrived.wait()
                continue
            answers, self._waiting = self._waiting[: self._bounds.batch_max], self._waiting[self._bounds.batch_max :]
            self._settling += 1
            try:
                left = await self._detour.work(answers, partial(self._settle_piece, name), partial(self._give_up, name))
                if left:
                    self._keep(left)
            finally:
                self._settling -= 1

    def _keep(self, answers: Sequence[Answer]) -> None:
        """Keep answers whose orders somebody holds, and settle them later."""
        if not self._guard.patient:
            raise Busy("another session holds a row that an answer is about; it is asked for again")
        self._kept += len(answers)
        asyncio.get_running_loop().call_later(RETRY_S, self._put_back, answers)

    def _put_back(self, answers: Sequence[Answer]) -> None:
        self._kept -= len(answers)
        self.put(answers)

    async def _settle_piece(self, name: str, answers: Sequence[Answer]) -> None:
        opened = await self._guard.transact(
            name,
            lambda contended: self._detour.guarded(
                answers, or_cut(answers, self._settle(answers, contended=contended))
            ),
        )
        self._submit(opened)

    async def _give_up(self, name: str, answer: Answer, error: Exception) -> None:
        """Keep the operation, for its answer raised. The gateway gives the same answer whenever it is asked again."""
        blamed = blame(error, answer)
        await self._guard.transact(
            name,
            lambda _: self._detour.guarded(
                [answer], self._quarantine.operation(answer.order_id, answer.operation_id, blamed)
            ),
        )

    async def _settle(self, answers: Sequence[Answer], *, contended: bool) -> list[Claimed]:
        async with self._ports.store.transaction(contended=contended) as transaction:
            orders = await transaction.load([answer.order_id for answer in answers])
            work = Work(transaction, orders, self._reactions, self._rules)
            late: list[Answer] = []
            for answer in answers:
                order = work.order(answer.order_id)
                operation = order.operation(answer.operation_id) if order else None
                if operation is None:
                    late.append(answer)
                else:
                    self._settle_one(work, operation, answer)
            opened = await work.finish(self._ports)
            # Last, for an operation may have had two answers in this very batch.
            asked = [(answer.order_id, answer.operation_id) for answer in late]
            states = await transaction.states(asked) if asked else {}
        work.tell(self._log)
        for answer in late:
            self._compare(answer, states.get(answer.operation_id))
        return opened

    def _compare(self, answer: Answer, state: OperationState | None) -> None:
        """Look at an answer to an operation that is settled already: it changes nothing, but it may contradict."""
        said = {Approved: OperationState.APPROVED, Declined: OperationState.DECLINED}.get(type(answer.outcome))
        if state is OperationState.NOT_EXECUTED:
            state = OperationState.DECLINED  # an operator's word; a decline agrees with it
        ids = {"order_id": answer.order_id, "operation_id": str(answer.operation_id), "settled_as": state}
        if said is not None and state is not None and said is not state:
            ring(self._log, "contradiction", "contradicting answer", said=said, **ids)
        else:
            self._log.info("answer to a settled operation", said=type(answer.outcome).__name__, **ids)

    def _settle_one(self, work: Work, operation: Operation, answer: Answer) -> None:
        order = work.order(operation.order_id)
        assert order is not None
        settle = self._reactions[operation.reaction].settle
        context = work.context(operation.causation_id)
        work.apply(settle_answer(settle, order, operation, answer.outcome, answer.lease, context))

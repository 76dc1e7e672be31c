"""The simulated gateway, with moods that a test can change while the pipeline runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from deploy.playbank.in_process import SimulatedGateway
from domain.errors import DownForEverybody, Transient
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall, OperationKind
from domain.outcome import GatewayOutcome, NotExecuted, Undecided, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, at_once
from domain.values import replace


class Said(NamedTuple):
    """What calls of a kind, and look-ups of them, are told, and whether they are executed all the same."""

    kind: OperationKind
    outcome: GatewayOutcome
    executed: bool


class MoodyGateway(SimulatedGateway):
    """fails_for: orders whose calls are reset before anything happens. hangs_for: orders whose calls never answer.

    hangs_on: kinds of calls that never answer; whether they are executed all the same. refuses_us: our key is no good.
    is_busy: whatever is asked is too much. raises_for: orders about which the adapter raises, after all calls were
    executed and before any answer is told. performed: how often each order was asked for. asked: how many calls at a
    time. says: what is told about orders, whatever is true. together: how many calls with the same key were under way
    at once, at the most. other_amounts: what the gateway moves in truth, by order and kind of call. undecided: orders
    whose authorization has no answer and is looked up as not decided, though the gateway approves it in truth. tells:
    what it says otherwise of a transaction, by its id, when it is asked after a notice. silent: it says nothing then.
    questions: the transactions that it was asked about so. listed: what its list of refunds shows besides.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fails_for: set[str] = set()
        self.raises_for: set[str] = set()
        self.hangs_for: set[str] = set()
        self.refuses_us = False
        self.is_busy = False
        self.hangs_on: dict[OperationKind, bool] = {}
        self.performed: dict[str, int] = {}
        self.asked: list[int] = []
        self.says: dict[str, Said] = {}
        self.together: dict[str, int] = {}
        self.undecided: set[str] = set()
        self.other_amounts: dict[tuple[str, OperationKind], int] = {}
        self.tells: dict[str, dict[str, Any]] = {}
        self.silent = False
        self.listed: list[Notice] = []
        self.questions: list[str] = []
        self._under_way: Counter[str] = Counter()

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Do what the calls ask, as far as the mood allows."""
        calls = [self._as_moved(call) for call in calls if begin(call)]
        slow = [call for call in calls if call.order_id in self.undecided and call.kind is OperationKind.AUTHORIZE]
        async for _ in super().perform(slow):
            yield [GatewayAnswer(call.operation_id, Unknown("time-out")) for call in slow]
        calls = [call for call in calls if call not in slow]
        keys = [call.idempotency_key for call in calls]
        self._under_way.update(keys)
        self.together |= {key: max(self.together.get(key, 0), self._under_way[key]) for key in keys}
        try:
            async for group in self._in_this_mood(calls):
                yield group
        finally:
            self._under_way.subtract(keys)

    async def _in_this_mood(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        self.asked.append(len(calls))
        if self.refuses_us:
            raise DownForEverybody("HTTP 401")
        if self.is_busy:
            self._count(calls)
            yield [GatewayAnswer(call.operation_id, NotExecuted("HTTP 429")) for call in calls]
            return
        await self._raise_if_told(calls)
        told = [call for call in calls if self._says(call)]
        async for _ in super().perform([call for call in told if self.says[call.order_id].executed]):
            pass
        if told:
            yield [GatewayAnswer(call.operation_id, self.says[call.order_id].outcome) for call in told]
        calls = [call for call in calls if call not in told]
        failing = [call for call in calls if call.order_id in self.fails_for]
        hanging = [call for call in calls if call.order_id in self.hangs_for or call.kind in self.hangs_on]
        good = [call for call in calls if call not in failing and call not in hanging]
        if failing:
            yield [GatewayAnswer(call.operation_id, Unknown("connection reset")) for call in failing]
        if good:
            async for group in super().perform(good):
                yield group
        async for _ in super().perform([call for call in hanging if self.hangs_on.get(call.kind)]):
            pass
        self._count(calls)
        if hanging:
            await asyncio.Event().wait()

    async def _raise_if_told(self, calls: Sequence[GatewayCall]) -> None:
        if any(call.order_id in self.raises_for for call in calls):
            async for _ in super().perform([call for call in calls if call.order_id not in self.raises_for]):
                pass
            self._count(calls)
            raise KeyError(f"no such thing as {calls[0].token}")

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Say what the books hold of the calls, or what is to be told."""
        told = [call for call in calls if self._says(call)]
        if told:
            yield [GatewayAnswer(call.operation_id, self.says[call.order_id].outcome) for call in told]
        async for group in super().look_up([call for call in calls if call not in told]):
            yield [self._undecide(answer, calls) for answer in group]

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        """Say what the books hold of a transaction, or what is to be told."""
        self.questions.append(transaction_id)
        if self.silent:
            raise Transient("HTTP 503")
        found = await super().news_of(transaction_id, with_disputes=with_disputes)
        return None if found is None else replace(found, **self.tells.get(transaction_id, {}))

    async def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List what the books hold, and what the test adds."""
        async for group in super().late_refunds(since):
            yield group
        yield self.listed

    def refund_elsewhere(self, transaction_id: str, amount_minor: int, operation_id: str | None = None) -> str:
        """Refund as somebody does in the dashboard; return the refund's id. operation_id: of ours, if a copy did it."""
        bank = self._desk._bank
        intent = bank.intent(transaction_id)
        assert intent is not None
        named = {} if operation_id is None else {"operation_id": operation_id}
        made = bank.refund(intent, "elsewhere", amount_minor, metadata=named)
        assert not isinstance(made, str)
        return made.id

    def fail_refunds(self, transaction_id: str) -> None:
        """Have all refunds of a transaction fail that have succeeded."""
        intent = self._desk._bank.intent(transaction_id)
        assert intent is not None
        for made in self._desk._bank.refunds_of(intent):
            made.status = "failed"

    def _undecide(self, answer: GatewayAnswer, calls: Sequence[GatewayCall]) -> GatewayAnswer:
        (call,) = [call for call in calls if call.operation_id == answer.operation_id]
        if call.order_id not in self.undecided or call.kind is not OperationKind.AUTHORIZE:
            return answer
        transaction_id = getattr(answer.outcome, "transaction_id", None)
        assert transaction_id is not None, answer
        return GatewayAnswer(answer.operation_id, Undecided(transaction_id, "requires_confirmation"))

    def _as_moved(self, call: GatewayCall) -> GatewayCall:
        amount = self.other_amounts.get((call.order_id, call.kind))
        return call if amount is None else replace(call, amount_minor=amount)

    def _says(self, call: GatewayCall) -> bool:
        return call.order_id in self.says and self.says[call.order_id].kind is call.kind

    def _count(self, calls: Sequence[GatewayCall]) -> None:
        for call in calls:
            self.performed[call.order_id] = self.performed.get(call.order_id, 0) + 1

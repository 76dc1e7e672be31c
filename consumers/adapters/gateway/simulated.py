"""A gateway inside the process, for benchmarks and simulation: exact about money, keys and faults, and quick.

It answers the same payment methods as the HTTP sandbox (consumers.adapters.gateway.methods). It owns no clock and no
randomness: time and waiting are handed in, and which calls are slow follows from the seed and the key alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from zlib import crc32

from consumers.adapters.gateway.methods import NOT_EXECUTED, SLOW_S, Fault, Method, method_of
from consumers.adapters.gateway.simulated_books import AUTHORIZATION_TTL, Books, Transaction
from domain.operation import GatewayCall, OperationKind
from domain.outcome import GatewayOutcome, NotExecuted, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, LedgerEntry, at_once

KEY_TTL = timedelta(hours=24)  # Stripe forgets keys after a day at the earliest

_IN_USE = Unknown("another request with this key is running")
_OTHER_PARAMETERS = Unknown("this key was used with other parameters", replayed=True)
_TIMED_OUT = Unknown("time-out")
_DOWN = Unknown("the gateway is down")
_STORED_ERROR = Unknown("HTTP 500", replayed=True)
_FAULT_ANSWERS: dict[Fault, GatewayOutcome] = {
    Fault.RESET_BEFORE: Unknown("connection reset"),
    Fault.RESET_AFTER: Unknown("connection reset"),
    Fault.TIMEOUT_BEFORE: _TIMED_OUT,
    Fault.TIMEOUT_AFTER: _TIMED_OUT,
    Fault.ERROR_AFTER: Unknown("HTTP 500"),
    Fault.RATE_LIMITED: NotExecuted("HTTP 429"),
    Fault.HTML: Unknown("HTTP 502"),
    Fault.TRUNCATED: Unknown("unreadable answer"),
}
_TIMEOUTS = frozenset({Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER})

# A call that is answered later; without an outcome it is also executed later.
_Delayed = tuple[GatewayCall, GatewayOutcome | None]


class SimulatedGateway:
    """A `Gateway` and its `GatewayLedger`, in memory.

    latency_ms: every answer comes that much later, one wait for all calls of a sequence.
    slow_share of the keys (0 to 1) are executed and answered only after slow_s.
    timeout_s: how long the caller waits; what is slower is Unknown then, and executed all the same in its time.
    pending_s: when a pending refund is decided.
    `down` makes every answer Unknown, with nothing executed.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        *,
        latency_ms: float = 0.0,
        slow_share: float = 0.0,
        slow_s: float = 1.0,
        seed: int = 0,
        timeout_s: float = 30.0,
        pending_s: float = 60.0,
        authorization_ttl: timedelta = AUTHORIZATION_TTL,
    ) -> None:
        self._books = Books(clock, timedelta(seconds=pending_s), authorization_ttl)
        self._clock = clock
        self._sleep = sleep
        self._latency_s = latency_ms / 1000
        self._slow_share = slow_share
        self._slow_s = slow_s
        self._seed = seed
        self._timeout_s = timeout_s
        self._stored: dict[str, tuple[GatewayCall, GatewayOutcome, datetime]] = {}
        self._seen: dict[str, int] = {}
        self._running: set[str] = set()
        self._overdue: list[tuple[datetime, GatewayCall]] = []
        self.down = False

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Do what the calls ask: one group after the latency, and one for each longer wait.

        What was received is executed also when the iteration ends early, as it would be at a gateway far away.
        """
        calls = [call for call in calls if begin(call)]
        if self.down:
            yield [GatewayAnswer(call.operation_id, _DOWN) for call in calls]
            return
        self._execute_overdue()
        prompt: list[GatewayAnswer] = []
        delayed: dict[float, list[_Delayed]] = {}
        for call in calls:
            self._receive(call, prompt, delayed)
        try:
            if self._latency_s:
                await self._sleep(self._latency_s)
            if prompt:
                yield prompt
            waited = self._latency_s
            for at_s in sorted(delayed):
                if at_s > waited:
                    await self._sleep(at_s - waited)
                    waited = at_s
                yield [self._finish(entry) for entry in delayed.pop(at_s)]
        finally:
            for entries in delayed.values():
                for entry in entries:
                    self._finish(entry)

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Say what the books hold of the calls, changing nothing."""
        if self._latency_s:
            await self._sleep(self._latency_s)
        self._execute_overdue()
        find = self._books.find
        down = self.down
        yield [GatewayAnswer(call.operation_id, _DOWN if down else find(call)) for call in calls]

    async def close(self) -> None:
        """Nothing to give up: there is no connection."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction, in the order of their making."""
        self._execute_overdue()
        return self._books.entries()

    def _receive(self, call: GatewayCall, prompt: list[GatewayAnswer], delayed: dict[float, list[_Delayed]]) -> None:
        key = call.idempotency_key
        seen = self._seen.get(key, 0)
        self._seen[key] = seen + 1
        if key in self._running:
            prompt.append(GatewayAnswer(call.operation_id, _IN_USE))
            return
        method, transaction = self._involved(call)
        fault = method.fault_for(call.kind, seen) if method is not None else None
        if fault is Fault.SLOW or (self._slow_share and self._is_slow(key)):
            self._running.add(key)
            slow_s = SLOW_S if fault is Fault.SLOW else self._slow_s
            if slow_s < self._timeout_s:
                delayed.setdefault(slow_s, []).append((call, None))
            else:
                self._overdue.append((self._clock() + timedelta(seconds=slow_s), call))
                delayed.setdefault(self._timeout_s, []).append((call, _TIMED_OUT))
        elif fault is None:
            prompt.append(GatewayAnswer(call.operation_id, self._answer(call, method, transaction)))
        elif fault in _TIMEOUTS:
            delayed.setdefault(self._timeout_s, []).append((call, self._spoil(call, method, transaction, fault)))
        else:
            prompt.append(GatewayAnswer(call.operation_id, self._spoil(call, method, transaction, fault)))

    def _involved(self, call: GatewayCall) -> tuple[Method | None, Transaction | None]:
        if call.kind is OperationKind.AUTHORIZE:
            return method_of(call.token or ""), None
        transaction = self._books.transaction(call.transaction_id)
        return (transaction.method, transaction) if transaction is not None else (None, None)

    def _is_slow(self, key: str) -> bool:
        return crc32(f"{self._seed}:{key}".encode()) < self._slow_share * 2**32

    def _finish(self, entry: _Delayed) -> GatewayAnswer:
        call, outcome = entry
        return GatewayAnswer(call.operation_id, self._execute_late(call) if outcome is None else outcome)

    def _execute_late(self, call: GatewayCall) -> GatewayOutcome:
        self._running.discard(call.idempotency_key)
        return self._answer(call, *self._involved(call))

    def _execute_overdue(self) -> None:
        if not self._overdue:
            return
        now = self._clock()
        due = [call for due_at, call in self._overdue if due_at <= now]
        self._overdue = [(due_at, call) for due_at, call in self._overdue if due_at > now]
        for call in due:
            self._execute_late(call)

    def _spoil(
        self, call: GatewayCall, method: Method | None, transaction: Transaction | None, fault: Fault
    ) -> GatewayOutcome:
        spoilt = _FAULT_ANSWERS[fault]
        if fault in NOT_EXECUTED:
            return spoilt
        before = self._stored.get(call.idempotency_key)
        answer = self._answer(call, method, transaction)
        if fault is not Fault.ERROR_AFTER:
            return spoilt
        after = self._stored.get(call.idempotency_key)
        if after is None or after is before:
            return answer
        self._stored[call.idempotency_key] = (call, _STORED_ERROR, after[2])
        return spoilt

    def _answer(self, call: GatewayCall, method: Method | None, transaction: Transaction | None) -> GatewayOutcome:
        stored = self._stored.get(call.idempotency_key)
        now = self._clock()
        if stored is not None and now < stored[2]:
            first, outcome, _ = stored
            return outcome if first is call or _asks(first) == _asks(call) else _OTHER_PARAMETERS
        refused = self._books.refusal(call, method, transaction)
        if refused is not None:
            return refused
        assert method is not None, "a call without a method is refused"
        outcome = self._books.execute(call, method, transaction)
        self._stored[call.idempotency_key] = (call, outcome, now + KEY_TTL)
        return outcome


def _asks(call: GatewayCall) -> tuple[object, ...]:
    """Return what a request of this kind carries: a void no amount, a capture no order, none of them opened_at."""
    match call.kind:
        case OperationKind.VOID:
            return (call.kind, call.transaction_id)
        case OperationKind.CAPTURE:
            return (call.kind, call.transaction_id, call.amount_minor)
        case _:
            metadata = (call.operation_id, call.order_id, call.attempt)
            return (call.kind, *metadata, call.amount_minor, call.currency, call.token, call.transaction_id)

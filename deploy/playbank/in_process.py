"""A gateway inside the process, for benchmarks and simulation: exact about money, keys and faults, and fast.

It is the bank's desk behind the port `Gateway`. It has no clock and no randomness: time and sleep are arguments, and
the seed and the key alone decide which calls are slow.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from zlib import crc32

from deploy.playbank.bank import Intent
from deploy.playbank.desk import Desk
from deploy.playbank.methods import NOT_EXECUTED, SLOW_S, Fault, Method
from domain.errors import Transient
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome, NotExecuted, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, LedgerEntry, at_once

_IN_USE = Unknown("another request with this key is running")
_TIMED_OUT = Unknown("time-out")
_DOWN = Unknown("the gateway is down")
_FAULT_ANSWERS: dict[Fault, GatewayOutcome] = {
    Fault.RESET_BEFORE: Unknown("connection reset"),
    Fault.RESET_AFTER: Unknown("connection reset"),
    Fault.TIMEOUT_BEFORE: _TIMED_OUT,
    Fault.TIMEOUT_AFTER: _TIMED_OUT,
    Fault.RATE_LIMITED: NotExecuted("HTTP 429"),
    Fault.HTML: Unknown("HTTP 502"),
    Fault.TRUNCATED: Unknown("unreadable answer"),
}
_TIMEOUTS = frozenset({Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER})

# A call that is answered later; without an outcome it is also executed later.
_Delayed = tuple[GatewayCall, GatewayOutcome | None]


class SimulatedGateway:
    """A `Gateway` and its `GatewayLedger`, in memory.

    latency_ms: the delay of every answer; all calls of a sequence share one wait.
    slow_share of the keys (0 to 1) are executed and answered only after slow_s.
    timeout_s: how long the caller waits. A slower call is Unknown then, and is still executed later.
    pending_s: when a pending refund is decided.
    down: every answer is Unknown, and nothing is executed.
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
    ) -> None:
        self._desk = Desk(pending_s)
        self._clock = clock
        self._sleep = sleep
        self._latency_s = latency_ms / 1000
        self._slow_share = slow_share
        self._slow_s = slow_s
        self._seed = seed
        self._timeout_s = timeout_s
        self._seen: dict[str, int] = {}
        self._running: set[str] = set()
        self._overdue: list[tuple[float, GatewayCall]] = []
        self.down = False

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Execute the calls. Answers come in groups: one after the latency, one for each longer wait.

        If the iteration ends early, the calls are executed all the same, as at a remote gateway.
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
                self._look_at_clock()
                yield [self._finish(entry) for entry in delayed.pop(at_s)]
        finally:
            self._look_at_clock()
            for entries in delayed.values():
                for entry in entries:
                    self._finish(entry)

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Return what the ledger has of these calls; change nothing."""
        if self._latency_s:
            await self._sleep(self._latency_s)
        self._execute_overdue()
        yield [GatewayAnswer(call.operation_id, _DOWN if self.down else self._desk.find(call)) for call in calls]

    async def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List refunds that were made since then and have failed. Nobody else makes refunds here."""
        if self.down:
            raise Transient("the gateway is down")
        self._execute_overdue()
        if failures := self._desk.failed_refunds(since.timestamp()):
            yield failures

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:  # noqa: ARG002 - it has none
        """Say what the books have of a transaction. There are no disputes here."""
        if self.down:
            raise Transient("the gateway is down")
        self._execute_overdue()
        return self._desk.news_of(transaction_id)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def act_for_customer(self, transaction_id: str, *, confirms: bool) -> bool:
        """Have the customer confirm a payment with their bank, or fail to; return whether they were asked."""
        self._look_at_clock()
        return self._desk.act_for_customer(transaction_id, confirms=confirms)

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction, the oldest first."""
        self._execute_overdue()
        return self._desk.entries()

    def _receive(self, call: GatewayCall, prompt: list[GatewayAnswer], delayed: dict[float, list[_Delayed]]) -> None:
        key = call.idempotency_key
        seen = self._seen.get(key, 0)
        self._seen[key] = seen + 1
        if key in self._running:
            prompt.append(GatewayAnswer(call.operation_id, _IN_USE))
            return
        method, intent = self._desk.involved(call)
        fault = method.fault_for(call.kind, seen) if method is not None else None
        if fault is Fault.SLOW or (self._slow_share and _is_slow(self._seed, key, self._slow_share)):
            self._running.add(key)
            slow_s = SLOW_S if fault is Fault.SLOW else self._slow_s
            if slow_s < self._timeout_s:
                delayed.setdefault(slow_s, []).append((call, None))
            else:
                self._overdue.append((self._desk.now_s + slow_s, call))
                delayed.setdefault(self._timeout_s, []).append((call, _TIMED_OUT))
        elif fault is None:
            prompt.append(GatewayAnswer(call.operation_id, self._desk.answer(call, method, intent)))
        elif fault in _TIMEOUTS:
            delayed.setdefault(self._timeout_s, []).append((call, _spoil(self._desk, call, method, intent, fault)))
        else:
            prompt.append(GatewayAnswer(call.operation_id, _spoil(self._desk, call, method, intent, fault)))

    def _finish(self, entry: _Delayed) -> GatewayAnswer:
        call, outcome = entry
        return GatewayAnswer(call.operation_id, self._execute_late(call) if outcome is None else outcome)

    def _execute_late(self, call: GatewayCall) -> GatewayOutcome:
        self._running.discard(call.idempotency_key)
        return self._desk.answer(call, *self._desk.involved(call))

    def _look_at_clock(self) -> None:
        """Read the clock, once for all calls that are executed together."""
        self._desk.now_s = self._clock().timestamp()

    def _execute_overdue(self) -> None:
        self._look_at_clock()
        due = [call for due_at, call in self._overdue if due_at <= self._desk.now_s]
        self._overdue = [(due_at, call) for due_at, call in self._overdue if due_at > self._desk.now_s]
        for call in due:
            self._execute_late(call)


def _is_slow(seed: int, key: str, share: float) -> bool:
    """Whether calls with this key are slow: so large a share of the keys are."""
    return crc32(f"{seed}:{key}".encode()) < share * 2**32


def _spoil(desk: Desk, call: GatewayCall, method: Method | None, intent: Intent | None, fault: Fault) -> GatewayOutcome:
    if fault is Fault.ERROR_AFTER:
        return desk.spoil(call, method, intent)
    if fault not in NOT_EXECUTED:
        desk.answer(call, method, intent)
    return _FAULT_ANSWERS[fault]

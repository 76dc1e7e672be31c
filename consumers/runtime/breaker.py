"""The breaker: it pauses calls while a dependency at the edge is down for everybody."""

import asyncio
from typing import Final

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.ramp import Ramp
from domain.alarms import Lasting
from domain.operation import OperationKind

EVERY_ORDERS_CALL: Final = OperationKind.AUTHORIZE.value
"""The call that every order needs."""


class Breaker:
    """Open while the gateway, or the inventory elsewhere, is down for everybody: consumers that need it pause.

    name: what it is called in the log and in the reasons of alarms.
    After a pause one call goes through, and one more after each pause without an answer: an outage must not use up the
    tries of all waiting operations. The next failure opens the breaker for a longer pause. The next answer closes it.
    Then calls come back gradually (Ramp). As many failures in a row as calls may begin in a second open it again.
    """

    def __init__(self, bounds: Bounds, name: str = "gateway") -> None:
        self._name = name
        self._bounds = bounds
        self._failures = 0
        self._trips = 0
        self._failed_at = 0.0
        self._closed_at = float("-inf")
        self._paused_until = 0.0
        self._tripped = False
        self._timer: asyncio.TimerHandle | None = None
        self._ramp: Ramp | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._log = structlog.get_logger("consumers.breaker")
        self._down = Lasting(self._log, f"{name}_down")
        self._forbidden: set[str] = set()
        self._forbids: dict[str, Lasting] = {}

    @property
    def name(self) -> str:
        """Return what it guards: gateway or inventory."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Whether calls must wait: for the end of a pause, or for the next second after an outage."""
        return not self._free.is_set() or (self._ramp is not None and self._ramp.left == 0)

    @property
    def is_down(self) -> bool:
        """Whether the gateway is taken to be down: since it tripped, no call has had an answer."""
        return self._trips > 0

    @property
    def is_seen_down(self) -> bool:
        """Whether it is down, and a call has shown that within breaker_seen_s, or no call could: of pauses none counts.

        While work waits, a call is tried after each pause. Who has no work tries none, and would not notice the end.
        """
        since = max(self._failed_at, self._paused_until)
        return self.is_down and asyncio.get_running_loop().time() - since <= self._bounds.breaker_seen_s

    @property
    def ramp(self) -> Ramp | None:
        """Return what limits the begin of calls after an outage; None: nothing does."""
        return self._ramp

    def room(self, limit: int) -> int:
        """Return how many calls may begin now: none, one, what the time after an outage permits, or the limit."""
        if self.is_open:
            return 0
        if self._trips:
            return min(limit, 1)
        return limit if self._ramp is None else min(limit, self._ramp.left)

    def note_begin(self) -> None:
        """Note that calls have begun. After an outage the first is a test, and all others wait for its answer."""
        if self._trips and not self._tripped:
            self._pause()

    def trip(self, why: str) -> None:
        """Open for a pause, each time a longer one."""
        self._failed_at = asyncio.get_running_loop().time()
        if self._tripped:
            return
        self._tripped = True
        self._trips += 1
        if self._ramp is not None:
            self._ramp.stop()
            self._ramp = None
        self._down.again(asyncio.get_running_loop().time(), f"the {self._name} is down for everybody", why=why)
        self._pause()

    def note_failure(self, why: str, begun_at: float | None = None) -> None:
        """Note a call without an answer. begun_at: when it began, by the clock of the loop; None: just now.

        A call from before the end of the last outage says nothing about now, however many of them end late.
        """
        self._failed_at = asyncio.get_running_loop().time()
        if begun_at is not None and begun_at < self._closed_at:
            return
        self._failures += 1
        fell_back = self._ramp is not None and self._ramp.note_failure()
        if fell_back or self._failures >= self._bounds.breaker_failures:
            self.trip(why)

    def note_forbidden(self, call: str, why: str) -> None:
        """Note that we may not make such calls. Others go on, unless authorizations and another kind are forbidden.

        A forbidden authorization counts as a failure, as one without an answer does. Nothing else counts here: one
        missing permission must not stop the calls that are permitted.
        """
        if call not in self._forbids:
            self._forbids[call] = Lasting(self._log, "gateway_forbids")
        now = asyncio.get_running_loop().time()
        self._forbids[call].again(now, "the gateway does not permit such calls", call=call, why=why)
        self._forbidden.add(call)
        if EVERY_ORDERS_CALL not in self._forbidden:
            return
        if len(self._forbidden) > 1:
            self.trip(why)
        elif call == EVERY_ORDERS_CALL:
            self.note_failure(why)

    def note_answer(self, call: str | None = None) -> None:
        """Note an answer to such a call: the gateway works."""
        self._failures = 0
        self._forbidden.clear()
        if call in self._forbids:
            self._forbids.pop(call).end(asyncio.get_running_loop().time(), "such calls are permitted again", call=call)
        if self._trips:
            self._trips = 0
            self._closed_at = asyncio.get_running_loop().time()
            self._down.end(asyncio.get_running_loop().time(), f"the {self._name} answers again")
            if self._timer is not None:
                self._timer.cancel()
            self._tripped = False
            self._free.set()
            self._begin_ramp()
        elif self._ramp is not None:
            self._ramp.note_answer()

    async def wait_until_closed(self) -> None:
        """Wait until calls may go on."""
        while self.is_open:
            if self._ramp is not None:
                await self._ramp.wait_for_change()
            else:
                await self._free.wait()

    def _begin_ramp(self) -> None:
        most = self._bounds.operations_open_max
        if most > 1:
            self._ramp = Ramp(most, self._bounds.ramp_step_s, self._end_ramp)

    def _end_ramp(self) -> None:
        self._ramp = None
        self._log.info(f"calls to the {self._name} are no longer held back")

    def _pause(self) -> None:
        self._free.clear()
        if self._timer is not None:
            self._timer.cancel()
        pause_s = min(self._bounds.breaker_pause_s * 2 ** min(self._trips - 1, 10), self._bounds.breaker_pause_max_s)
        loop = asyncio.get_running_loop()
        self._paused_until = loop.time() + pause_s
        self._timer = loop.call_later(pause_s, self._let_through)

    def _let_through(self) -> None:
        self._tripped = False
        self._failures = self._bounds.breaker_failures - 1
        self._free.set()

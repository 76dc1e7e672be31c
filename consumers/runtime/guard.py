"""Repeating what lost a race, waiting out what is down, and noticing what stands still."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import Final, TypeVar

import structlog

from consumers.runtime.ports import Bounds
from domain.alarms import Lasting
from domain.errors import Contended, Permanent, Transient, Violated
from domain.operation import OperationKind

T = TypeVar("T")
EVERY_ORDERS_CALL: Final = OperationKind.AUTHORIZE.value
"""Without it nothing is paid."""
BROKEN_MAX: Final = 4
"""So often a constraint may be broken in a row by who only lost a race. The second run locks before it reads."""


class StalledError(RuntimeError):
    """A loop has made no turn for too long. Restart the process; nothing is lost, and please report it."""


class HopelessRaceError(RuntimeError):
    """The same race was lost again and again. Restart the process; nothing is lost, and please report it."""


class Stopped(Exception):  # noqa: N818 - it answers an order, it is no fault
    """The process was told to stop while it waited for a dependency; what it was at has not happened."""


class Guard:
    """Shared by all loops of a process: bounds its transactions, watches its progress.

    patient: an outage is waited out; else it is raised, for who was asked to do something once and to say how it went.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.patient = True
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.transactions_max)
        self._turns: dict[str, float] = {}
        self._log = structlog.get_logger("consumers.guard")

    async def transact(
        self, name: str, run: Callable[[bool], Awaitable[T]], stop: asyncio.Event | None = None, *, apart: bool = False
    ) -> T:
        """Run a whole transaction until it has committed. run(contended) may be repeated; an outage is waited out.

        apart: it takes none of the bounded places, for it may take long and others shall not wait for it.

        A lost race is repeated at once, then after growing pauses. More than the bound of them in a row are a
        HopelessRaceError. A constraint that is broken again though everything was locked before it was read is no race:
        then the work is to blame, and Permanent is raised.
        Raises Stopped when told to stop during an outage, and Transient when not patient; nothing has happened then.
        """
        lost = broken = failures = 0
        down: Lasting | None = None
        while True:
            self.turn(name)
            try:
                async with nullcontext() if apart else self._slots:
                    result = await run(lost > 0)
            except Contended as error:
                lost += 1
                broken = broken + 1 if isinstance(error, Violated) else 0
                if broken > BROKEN_MAX:
                    raise Permanent(f"{name}: broken {broken} times in a row: {error}") from error
                if lost > self._bounds.contended_runs_max:
                    raise HopelessRaceError(f"{name}: lost the same race {lost} times in a row: {error}") from error
                await asyncio.sleep(0.001 * 2 ** min(lost, 7))
            except Transient as error:
                if not self.patient:
                    raise
                failures += 1
                down = down or Lasting(self._log, error.alarm)
                fields = {"name": name, "dependency": error.dependency, "error": str(error)}
                if not down.again(asyncio.get_running_loop().time(), "waiting", **fields):
                    self._log.debug("still waiting", name=name, failures=failures)
                await _pause(stop, min(0.1 * 2 ** min(failures, 10), self._bounds.outage_backoff_max_s))
            else:
                if down is not None:
                    down.end(asyncio.get_running_loop().time(), "going on", name=name, failures=failures)
                return result

    def turn(self, name: str) -> None:
        """Note that this loop is alive."""
        self._turns[name] = asyncio.get_running_loop().time()

    def done(self, name: str) -> None:
        """Note that this loop has ended."""
        self._turns.pop(name, None)

    async def watch(self) -> None:
        """Raise StalledError when a loop makes no turn: better a restart than a consumer that looks alive."""
        while True:
            await asyncio.sleep(self._bounds.stalled_after_s / 10)
            now = asyncio.get_running_loop().time()
            for name, turned in self._turns.items():
                if now - turned > self._bounds.stalled_after_s:
                    raise StalledError(f"{name} has made no turn for {now - turned:.0f} s")


class Breaker:
    """Open while the gateway is down for everybody: partitions pause.

    After a pause it lets one call through, and another after each pause without an answer: an outage must not use up
    the tries of all that waits. The next failure opens it for a longer pause, the next answer closes it for good.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._failures = 0
        self._trips = 0
        self._tripped = False
        self._timer: asyncio.TimerHandle | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._log = structlog.get_logger("consumers.breaker")
        self._down = Lasting(self._log, "gateway_down")
        self._forbidden: set[str] = set()
        self._forbids: dict[str, Lasting] = {}

    @property
    def is_open(self) -> bool:
        """Whether calls shall wait."""
        return not self._free.is_set()

    @property
    def is_down(self) -> bool:
        """Whether the gateway is taken to be down: since it was noticed nobody had an answer."""
        return self._trips > 0

    def room(self, limit: int) -> int:
        """Return how many of so many calls may be begun now."""
        if self.is_open:
            return 0
        return min(limit, 1) if self._trips else limit

    def begun(self) -> None:
        """Note that calls were begun; if they are to show whether the gateway answers, others wait for that."""
        if self._trips and not self._tripped:
            self._pause()

    def trip(self, why: str) -> None:
        """Open for a pause, a longer one each time."""
        if self._tripped:
            return
        self._tripped = True
        self._trips += 1
        self._down.again(asyncio.get_running_loop().time(), "the gateway is down for everybody", why=why)
        self._pause()

    def failed(self, why: str) -> None:
        """Note an answer that is none."""
        self._failures += 1
        if self._failures >= self._bounds.breaker_failures:
            self.trip(why)

    def forbidden(self, call: str, why: str) -> None:
        """Note that we may not make such calls. Others go on, unless authorizations and another kind are forbidden.

        An authorization that is forbidden says as little of the gateway as one that it does not answer. Nothing else
        counts as a failure here: a lack of one permission must not stop what is permitted.
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
            self.failed(why)

    def answered(self, call: str | None = None) -> None:
        """Note an answer to such a call: the gateway is there."""
        self._failures = 0
        self._forbidden.clear()
        if call in self._forbids:
            self._forbids.pop(call).end(asyncio.get_running_loop().time(), "such calls are permitted again", call=call)
        if self._trips:
            self._trips = 0
            self._down.end(asyncio.get_running_loop().time(), "the gateway answers again")
            if self._timer is not None:
                self._timer.cancel()
            self._tripped = False
            self._free.set()

    async def closed(self) -> None:
        """Wait until calls may go on."""
        await self._free.wait()

    def _pause(self) -> None:
        self._free.clear()
        if self._timer is not None:
            self._timer.cancel()
        pause_s = min(self._bounds.breaker_pause_s * 2 ** min(self._trips - 1, 10), self._bounds.breaker_pause_max_s)
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._let_through)

    def _let_through(self) -> None:
        self._tripped = False
        self._failures = self._bounds.breaker_failures - 1
        self._free.set()


async def _pause(stop: asyncio.Event | None, seconds: float) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    if stop.is_set():
        raise Stopped

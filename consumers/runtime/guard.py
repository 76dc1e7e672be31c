"""Running transactions: repeat one that lost a race, wait through an outage, notice a loop that hangs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Final, TypeVar

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.waiting import pause
from domain.alarms import Lasting
from domain.backoff import outage_backoff_s
from domain.errors import Contended, Permanent, Transient, Violated

T = TypeVar("T")
BROKEN_MAX: Final = 4
"""A lost race may break a constraint so often in a row. The second run locks before it reads."""


class StalledError(RuntimeError):
    """A loop has made no turn for too long. Restart the process; nothing is lost, and please report it."""


class HopelessRaceError(RuntimeError):
    """The same race was lost again and again. Restart the process; nothing is lost, and please report it."""


class Stopped(Exception):  # noqa: N818 - a stop was ordered: no error
    """The process has to stop, and was waiting for a dependency. The interrupted work has not happened."""


class Guard:
    """Bounds the transactions of a process and watches its loops. All loops of a process share one."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.transactions_max)
        self._turns: dict[str, float] = {}
        self._log = structlog.get_logger("consumers.guard")

    async def transact(
        self,
        name: str,
        run: Callable[[bool], Awaitable[T]],
        stop: asyncio.Event | None = None,
        *,
        apart: bool = False,
        patient: bool = True,
    ) -> T:
        """Run a whole transaction until it has committed. run(contended) may run several times.

        patient: wait through an outage. If False, raise Transient: `--once` commands must report failure.
        apart: take none of the bounded slots. For slow questions, so that others do not wait for them.

        A lost race is repeated at once, then after growing pauses. Too many in a row raise HopelessRaceError. If a
        constraint still breaks although everything was locked before it was read, that is no race: the work is to
        blame, and Permanent is raised. A stop during an outage raises Stopped. In all cases nothing has happened.
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
                    _end(down, name, failures)
                    raise Permanent(f"{name}: broken {broken} times in a row: {error}") from error
                if lost > self._bounds.contended_runs_max:
                    raise HopelessRaceError(f"{name}: lost the same race {lost} times in a row: {error}") from error
                await asyncio.sleep(0.001 * 2 ** min(lost, 7))
            except Transient as error:
                if not patient:
                    raise
                failures += 1
                down = down or Lasting(self._log, error.alarm)
                fields = {"name": name, "dependency": error.dependency, "error": str(error)}
                if not down.again(asyncio.get_running_loop().time(), "waiting", **fields):
                    self._log.debug("still waiting", name=name, failures=failures)
                await _wait_out(stop, outage_backoff_s(failures, self._bounds.outage_backoff_max_s))
            except Exception:
                # It answered, though not as we hoped: who waits next rings anew.
                _end(down, name, failures)
                raise
            else:
                _end(down, name, failures)
                return result

    def turn(self, name: str) -> None:
        """Note that this loop is alive."""
        self._turns[name] = asyncio.get_running_loop().time()

    def done(self, name: str) -> None:
        """Note that this loop has ended."""
        self._turns.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Return for each loop how long ago it made its last turn, in seconds."""
        now = asyncio.get_running_loop().time()
        return {name: max(now - turned, 0.0) for name, turned in self._turns.items()}

    async def watch(self) -> None:
        """Raise StalledError when a loop makes no turn: a restart is better than a consumer that only looks alive."""
        while True:
            await asyncio.sleep(self._bounds.stalled_after_s / 10)
            now = asyncio.get_running_loop().time()
            for name, turned in self._turns.items():
                if now - turned > self._bounds.stalled_after_s:
                    raise StalledError(f"{name} has made no turn for {now - turned:.0f} s")


def _end(down: Lasting | None, name: str, failures: int) -> None:
    if down is not None:
        down.end(asyncio.get_running_loop().time(), "going on", name=name, failures=failures)


async def _wait_out(stop: asyncio.Event | None, seconds: float) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
    elif await pause(stop, seconds):
        raise Stopped

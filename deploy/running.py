"""What only a process has: a loop, signals, a clock and chance.

There is one way to be told to stop: the first SIGTERM or SIGINT lets a process finish what it does, the second ends it
at once. Whatever runs here (roles, servers, sandbox, demo) is told by Stopping.
"""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

SIGNALS = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T")


class Stopping:
    """The handlers of both signals while inside; main thread only. The handlers of before come back after.

    tell is done by the first signal; whatever it raises, the main thread raises. at_once is done by the second signal
    before the process ends: it kills what must not be left behind. ends_soon: a second signal changes nothing, for what
    ends by itself within a moment.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None, *, ends_soon: bool = False) -> None:
        self.asked = False
        self._ends_soon = ends_soon
        self.at_once: Callable[[], None] = lambda: None
        self._tell = tell
        self._before: dict[signal.Signals, object] = {}

    def event(self) -> asyncio.Event:
        """Return an event of the running loop that is set by the first signal, even if that came before."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        self._tell = tell
        if self.asked:
            event.set()
        return event

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned, it takes

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self.asked and self._ends_soon:
            return
        if self.asked:
            try:
                self.at_once()
            finally:
                os._exit(128 + number)
        self.asked = True
        self._tell()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run an asynchronous command to its end, on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def now() -> datetime:
    """Read the clock, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - time comes in here, and is handed on


def id_source(seed: int | None = None) -> Callable[[], UUID]:
    """Make a source of random event ids; the same seed gives the same ids, None a seed of its own."""
    draw = random.Random(secrets.randbits(128) if seed is None else seed)  # noqa: S311 - ids, not secrets
    return lambda: UUID(int=draw.getrandbits(128), version=4)

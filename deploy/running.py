"""What only a process has: an event loop, signals, a clock and randomness.

Every process here (roles, servers, sandbox, demo) stops in one way, by Stopping: after the first SIGTERM or SIGINT it
finishes its work, the second one ends it at once.
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
    """Handles both signals while inside; main thread only. Restores the earlier handlers at the end.

    on_first: called at the first signal; the main thread raises what it raises. at_once: called at the second signal,
    before the process ends; it kills what must not be left behind. ends_soon: ignore a second signal, for work that
    ends by itself within a moment.
    """

    def __init__(self, on_first: Callable[[], None] = lambda: None, *, ends_soon: bool = False) -> None:
        self.asked = False
        self._ends_soon = ends_soon
        self.at_once: Callable[[], None] = lambda: None
        self._on_first = on_first
        self._before: dict[signal.Signals, object] = {}

    def event(self) -> asyncio.Event:
        """Return an event of the running loop. The first signal sets it, even one that came before this call."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def set_event() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        self._on_first = set_event
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
            signal.signal(number, handler)  # type: ignore[arg-type]  # signal() accepts what it returned

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self.asked and self._ends_soon:
            return
        if self.asked:
            try:
                self.at_once()
            finally:
                os._exit(128 + number)
        self.asked = True
        self._on_first()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop if it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def now() -> datetime:
    """Read the clock, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only clock; all else gets the time as an argument


def id_source(seed: int | None = None) -> Callable[[], UUID]:
    """Make a source of random event ids; the same seed gives the same ids, None a random seed."""
    draw = random.Random(secrets.randbits(128) if seed is None else seed)  # noqa: S311 - ids, not secrets
    return lambda: UUID(int=draw.getrandbits(128), version=4)

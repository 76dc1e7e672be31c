"""Told to stop: the first SIGTERM or SIGINT lets a process finish what it does, the second ends it at once."""

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """The handlers of both signals while inside; main thread only.

    at_once is done by the second signal before the process ends: it kills what must not be left behind.
    """

    def __init__(self) -> None:
        self.asked = False
        self.at_once: Callable[[], None] = lambda: None
        self._tell: Callable[[], None] = lambda: None
        self._before: dict[signal.Signals, object] = {}

    def event(self) -> asyncio.Event:
        """Return an event of the running loop that is set by the first signal, even if that came before."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._tell = lambda: _tell(loop, event)
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
        if self.asked:
            try:
                self.at_once()
            finally:
                os._exit(128 + number)
        self.asked = True
        self._tell()


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)

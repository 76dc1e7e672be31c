"""An event loop whose clock jumps to the next timer when nothing else is to be done: hours pass in a moment.

Only for code that waits for timers and other tasks. A wait that no timer ends fails the test at once.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: what it is asked to wait is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready. timeout: so far the clock jumps; None: no timer is set."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "it waits for what no timer ends"
            self.now += max(timeout, 0)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop whose time() is simulated, and begins at 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds that have passed for whoever runs in this loop."""
        return self._jumping.now

    def freeze(self, seconds: float) -> None:
        """Let time pass as if the process had been frozen for so long."""
        self._jumping.now += seconds


def run_simulated(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)

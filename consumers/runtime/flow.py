"""Orders that are under way go before new ones.

When a backlog comes in faster than it can be paid, beginning all of it first would only make every order wait for every
other, and for its own state to be read back from the database. So a process begins no more while much of what it has
begun waits for its next step. Only what waits for this very process counts; and now and then it begins some all the
same, for what waits may wait for something else.
"""

import asyncio
from collections.abc import Callable, Iterable

from consumers.runtime.ports import Bounds


class Flow:
    """Counts what waits for a next step in this process, and tells when some of it has moved on."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._waiting: list[Callable[[], int]] = []
        self._moved = asyncio.Event()

    def watch(self, waiting: Iterable[Callable[[], int]]) -> None:
        """Count these, too."""
        self._waiting += waiting

    @property
    def full(self) -> bool:
        """Whether enough is under way."""
        return sum(waiting() for waiting in self._waiting) > self._bounds.under_way_max

    def moved(self) -> None:
        """Tell that a batch was processed."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def movement(self) -> None:
        """Wait for the next batch that is processed."""
        await self._moved.wait()


class Turn:
    """Whether one consumer has to wait before it begins more; it never does for longer than the bound."""

    def __init__(self, flow: Flow, bounds: Bounds) -> None:
        self._flow = flow
        self._bounds = bounds
        self._since: float | None = None

    def must_wait(self) -> bool:
        """Say so."""
        now = asyncio.get_running_loop().time()
        if not self._flow.full:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since >= self._bounds.begin_at_least_every_s:
            self._since = None
            return False
        return True

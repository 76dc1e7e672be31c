"""New orders wait while orders that are under way are late.

An order passes through several transactions, and over Kafka between them. Every consumer takes what is there. Of a long
backlog the first one would begin all orders long before the last one ends the first of them: this process and the
outbox would hold them all, and every customer would wait for the last one. So the first waits while the others are
behind: for a bounded time, since what is late may be late for long (messages that are read again, an order that
somebody holds). Its batches stay whole: small ones cost more an order.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from domain.ports.metering import RunMeter

QUIET_S: Final = 10.0
"""If new orders have not waited for so long, they are not held back any more: under load they wait now and then."""


class Pace:
    """Knows which reactions of this process are late. late_s: so old may an event of ours be when we react to it."""

    def __init__(self, late_s: float) -> None:
        self._late_after = timedelta(seconds=late_s)
        self._late: set[str] = set()
        self._in_time = asyncio.Event()
        self._in_time.set()

    @property
    def is_late(self) -> bool:
        """Whether some reaction is late."""
        return bool(self._late)

    @property
    def late(self) -> Sequence[str]:
        """Return the names of those that are late."""
        return sorted(self._late)

    def note(self, reaction: str, age: timedelta) -> None:
        """Note how old the newest event of its last batch was."""
        if age > self._late_after:
            self._late.add(reaction)
            self._in_time.clear()
        else:
            self.note_idle(reaction)

    def note_idle(self, reaction: str) -> None:
        """Note that it has nothing to react to, or must wait: what it waits for is nothing that pausing would help."""
        self._late.discard(reaction)
        if not self._late:
            self._in_time.set()

    async def wait_until_in_time(self) -> None:
        """Wait until none is late."""
        await self._in_time.wait()


class HeldBack:
    """Tells that new orders are held back: the seconds to the meter; one line when it begins, and one when it is over.

    now: the clock of the event loop, in seconds.
    """

    def __init__(self, meter: RunMeter, log: Any) -> None:
        self._meter = meter
        self._log = log
        self._since: float | None = None
        self._last = 0.0
        self._waited_s = 0.0

    def begin(self, now: float, late: Sequence[str]) -> None:
        """Note that new orders wait from now on. late: the reactions that they wait for."""
        if self._since is None:
            self._since, self._waited_s = now, 0.0
            self._log.info("new orders wait: those under way are late", late=late)

    def add(self, now: float, waited_s: float) -> None:
        """Note that a wait has ended now."""
        self._last = now
        self._waited_s += waited_s
        self._meter.held_back(waited_s)

    def note_in_time(self, now: float) -> None:
        """Note that nobody is late now."""
        if self._since is not None and now >= self._last + QUIET_S:
            lasted_s, waited_s = round(self._last - self._since, 1), round(self._waited_s, 1)
            self._log.info("new orders do not wait any more", lasted_s=lasted_s, waited_s=waited_s)
            self._since = None

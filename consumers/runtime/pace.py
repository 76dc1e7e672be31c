"""New orders wait while orders that are under way are late.

An order passes through several transactions, and over Kafka between them. Every consumer takes what is there. Of a long
backlog the first one would begin all orders long before the last one ends the first of them: this process and the
outbox would hold them all, and every customer would wait for the last one. So the first waits while the others are
behind: for a bounded time, since what is late may be late for long (messages that are read again, an order that
somebody holds). Its batches stay whole: small ones cost more an order.
"""

import asyncio
from datetime import timedelta


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

"""Counts how often the relay's lease ended before it was renewed. Once: a frozen process. Often: a slow database."""

import asyncio
from collections import deque
from typing import Any, Final

from domain.alarms import Lasting

MAX: Final = 3
"""More lapses than this within WITHIN_S ring."""
WITHIN_S: Final = 600


class Lapses:
    """Counts lapses, and rings if there are too many."""

    def __init__(self, log: Any, lease_s: float) -> None:
        self._lease_s = lease_s
        self._at: deque[float] = deque(maxlen=MAX + 1)
        self._slow = Lasting(log, "dependency_down")

    def add(self) -> None:
        """Count one more."""
        now = asyncio.get_running_loop().time()
        self._at.append(now)
        if self._too_many(now):
            text = "the database answers too slowly to keep the relay's lease: messages wait"
            self._slow.again(
                now, text, name="relay", dependency="postgresql", lapses=len(self._at), lease_s=self._lease_s
            )

    def note_sent(self) -> None:
        """Note that messages are sent. Ends the alarm once there were few enough lapses for WITHIN_S."""
        now = asyncio.get_running_loop().time()
        if not self._too_many(now):
            self._slow.end(now, "the relay keeps its lease again", name="relay")

    def _too_many(self, now: float) -> bool:
        return len(self._at) > MAX and now - self._at[0] < WITHIN_S

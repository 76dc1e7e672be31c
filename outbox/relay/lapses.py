"""How often the relay's lease ran out under it. Once: a process was frozen. Often: the database is too slow."""

import asyncio
from collections import deque
from typing import Any, Final

from domain.alarms import Lasting

MAX: Final = 3
"""More of them within the time below are an alarm."""
WITHIN_S: Final = 600


class Lapses:
    """Counts them, and wakes somebody."""

    def __init__(self, log: Any, lease_s: float) -> None:
        self._lease_s = lease_s
        self._at: deque[float] = deque(maxlen=MAX + 1)
        self._slow = Lasting(log, "dependency_down")

    def add(self) -> None:
        """Note one more."""
        now = asyncio.get_running_loop().time()
        self._at.append(now)
        if self._too_many(now):
            text = "the database answers too slowly to keep the relay's lease: messages wait"
            self._slow.again(
                now, text, name="relay", dependency="postgresql", lapses=len(self._at), lease_s=self._lease_s
            )

    def all_is_well(self) -> None:
        """Note that messages are sent; told if there were too many, and have been none for long enough."""
        now = asyncio.get_running_loop().time()
        if not self._too_many(now):
            self._slow.end(now, "the relay keeps its lease again", name="relay")

    def _too_many(self, now: float) -> bool:
        return len(self._at) > MAX and now - self._at[0] < WITHIN_S

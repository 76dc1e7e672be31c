"""Which operations this process has begun and not answered yet."""

import asyncio
from collections.abc import Sequence

from domain.ports.store import Claimed


class OpenOperations:
    """Counts open operations against their bound.

    The keys are the numbers of their ids: a UUID is hashed in Python, which is slow.
    """

    def __init__(self, most: int) -> None:
        self._open: dict[int, Claimed] = {}
        self._most = most
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    async def wait_for_room(self) -> None:
        """Wait until more may be opened."""
        await self._room.wait()

    def add(self, claimed: Sequence[Claimed]) -> None:
        """Note operations that begin now."""
        for c in claimed:
            self._open[c.operation.operation_id.int] = c
        self._set_room()

    def still(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Return those that have no answer yet, except what this process has claimed again since."""
        return [c for c in claimed if self._open.get(c.operation.operation_id.int) is c]

    def all(self) -> list[Claimed]:
        """Return all that are open."""
        return list(self._open.values())

    def remove(self, claimed: Sequence[Claimed]) -> None:
        """Forget operations that are done here, except what this process has claimed again since."""
        for c in claimed:
            number = c.operation.operation_id.int
            if self._open.get(number) is c:
                del self._open[number]
        self._set_room()

    def _set_room(self) -> None:
        if len(self._open) < self._most:
            self._room.set()
        else:
            self._room.clear()

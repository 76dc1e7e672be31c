"""Upkeep of the database: the partitions of the inbox, one a day, and sessions of frozen processes.

It runs beside the sweep, so that neither waits for the other. It is never urgent and never a bug: what fails now is
tried again. The alarm rings only when the inbox runs out of days.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from consumers.runtime.waiting import pause
from domain.alarms import ring
from domain.errors import Transient
from domain.ports.store import Store

TURN_S: Final = 20
MAINTAIN_EVERY_S: Final = 3_600
MAINTAIN_SOON_S: Final = 60
"""While the inbox runs out of days, or the last try failed."""
FROZEN_S: Final = 60
"""A session silent for so long inside a transaction belongs to a process that is frozen or cut off. It holds locks."""


class Upkeep:
    """Any number of processes may do this at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_s = 0.0
        self._running_out = False
        self._strange: tuple[str, ...] = ()
        self._log = structlog.get_logger("consumers.upkeep")

    async def run(self, stop: asyncio.Event) -> None:
        """Look after the database until stop is set."""
        while not stop.is_set():
            await self.turn()
            await pause(stop, TURN_S)

    async def turn(self) -> None:
        """Do what is due. An outage is not reported here: the other loops meet it, too, and report it."""
        now = asyncio.get_running_loop().time()
        with suppress(Transient):
            await self._end_frozen()
        if now >= self._next_s:
            self._next_s = now + MAINTAIN_SOON_S
            with suppress(Transient):
                await self._maintain()
                if not self._running_out:
                    self._next_s = now + MAINTAIN_EVERY_S

    async def _end_frozen(self) -> None:
        ended = await self._store.end_frozen(FROZEN_S)
        if ended:
            self._log.warning("ended sessions of processes that stand still: they held locks", sessions=ended)

    async def _maintain(self) -> None:
        done = await self._store.maintain()
        if done.undone:
            self._log.warning("not all of the inbox's upkeep could be done now", undone=done.undone, ahead=done.ahead)
        if done.strange and done.strange != self._strange:
            text = "somebody attached these to the inbox; their names are days, and they do not hold them: left alone"
            self._log.warning(text, partitions=done.strange)
        self._strange = done.strange
        running_out = done.ahead < 1
        if running_out and not self._running_out:
            ring(self._log, "inbox_days", "the inbox runs out of days", ahead=done.ahead, undone=done.undone)
        elif self._running_out and not running_out:
            self._log.info("the inbox has its days again", ahead=done.ahead)
        self._running_out = running_out

"""Commits beside the reading: no batch waits for the broker's answer about the one before."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer

from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.lanes import clock
from domain.errors import Transient

COMMIT_EVERY_S: Final = 0.1
"""Time from the first noted offset to its commit: one request for all batches of a tenth of a second.

Where orders are few each is a batch of its own, and a request for each costs more than reading it. So much comes again
after a kill, without effect; and so much later does an idle group have a lag of 0.
"""
LAST_COMMIT_S: Final = 2
"""Time for the last commit of a member that leaves. A broker that runs answers in milliseconds."""
WARN_EVERY_S: Final = 10
"""Time between two lines about commits that fail."""


class Committer:
    """Commits what is noted in commits. member: returns the group's client; None: there is none.

    A commit that fails is logged, and not repeated by itself: its offsets go with the next that is asked for, or when
    nothing comes. A commit during a rebalance could make the group begin another one.
    """

    def __init__(
        self, commits: Commits, member: Callable[[], AIOKafkaConsumer | None], log: structlog.stdlib.BoundLogger
    ) -> None:
        self._commits = commits
        self._member = member
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._is_asked = False
        self._warn_at = 0.0

    def commit_soon(self) -> None:
        """Have what is noted committed in COMMIT_EVERY_S. Waits for nothing.

        Raises what an earlier commit has raised, if that is no outage: then it is a bug.
        """
        self._is_asked = True
        if self._task is not None:
            if not self._task.done():
                return
            self._task.result()
        self._task = asyncio.create_task(self._commit_while_asked())

    async def flush(self) -> None:
        """Commit what is noted, and wait until this and what is under way is answered. An outage is only logged."""
        self._is_asked = False
        consumer = self._member()
        if consumer is None:
            return
        try:
            await self._commits.send(consumer)
        except Transient as error:
            self._warn(str(error))

    async def close(self) -> None:
        """Commit what is noted, for LAST_COMMIT_S at most, and end. It may be used again."""
        try:
            async with asyncio.timeout(LAST_COMMIT_S):
                await self.flush()
        except TimeoutError:
            self._warn(f"no answer in {LAST_COMMIT_S} s")
        finally:
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if task is not None and not task.cancelled():
            task.result()

    async def _commit_while_asked(self) -> None:
        while self._is_asked:
            await asyncio.sleep(COMMIT_EVERY_S)
            if self._is_asked:
                await self.flush()

    def _warn(self, error: str) -> None:
        if clock() >= self._warn_at:
            self._warn_at = clock() + WARN_EVERY_S
            self._log.warning("offsets not committed; the messages come again, without effect", error=error)

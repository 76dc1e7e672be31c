"""Keeping what requests bring: many requests share one transaction, and each waits until its notice is committed."""

import asyncio
from contextlib import suppress
from typing import Final

from domain.errors import Transient
from domain.notices import Notice
from domain.ports.notices import KeepsNotices

BATCH_MAX: Final = 500
WAITING_MAX: Final = 5_000
"""Some 5 MB of notices. Further requests are turned away, and the gateway sends them again."""
KEEP_S: Final = 15.0
"""So long a request waits for the database. Stripe waits some twenty seconds for an answer."""

_Waiting = tuple[Notice, "asyncio.Future[None]"]


class Overloaded(Exception):  # noqa: N818 - its name says what is wrong
    """Too many requests wait for the database."""


class Keeper:
    """Collects notices while a transaction runs, and writes them with the next one."""

    def __init__(self, notices: KeepsNotices, *, waiting_max: int = WAITING_MAX, keep_s: float = KEEP_S) -> None:
        self._notices = notices
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(waiting_max)
        self._keep_s = keep_s
        self.new = 0
        """Notices that were kept and not known before."""

    async def keep(self, notice: Notice) -> None:
        """Wait until the notice is committed.

        Raises Overloaded if too many wait, Transient if the database does not take it, TimeoutError if it is too slow.
        """
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((notice, kept))
        except asyncio.QueueFull:
            raise Overloaded from None
        async with asyncio.timeout(self._keep_s):
            await kept

    async def run(self) -> None:
        """Write until cancelled. Raises what is no outage: a bug."""
        while True:
            batch = [await self._queue.get()]
            with suppress(asyncio.QueueEmpty):
                while len(batch) < BATCH_MAX:
                    batch.append(self._queue.get_nowait())
            # Whoever does not wait any more was told nothing: the gateway sends it again.
            await self._write([one for one in batch if not one[1].done()])

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            self.new += await self._notices.keep([notice for notice, _ in batch])
        except Exception as error:
            for _, kept in batch:
                if not kept.done():
                    kept.set_exception(error)
                    kept.exception()  # it may have nobody who waits for it any more
            if not isinstance(error, Transient):
                raise
        else:
            for _, kept in batch:
                if not kept.done():
                    kept.set_result(None)

"""The upkeep of the inbox's days."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import psycopg

from domain.ports.upkeep import InboxUpkeep
from outbox.driver.connections import begin
from outbox.driver.conninfo import connect
from outbox.driver.session import Session
from outbox.driver.sqlstates import first_line
from outbox.schema import partitions
from outbox.schema.partitions import InboxDays

UPKEEP_MAX_S: Final = 60.0


class Upkeep:
    """url: not through a pooler. retention_days: how long the inbox keeps its rows."""

    def __init__(self, url: str, retention_days: int) -> None:
        self._url = url
        self._retention_days = retention_days

    async def run(self, connected: Callable[[], AbstractAsyncContextManager[Session]]) -> InboxUpkeep:
        """Make days ahead, drop those beyond the retention. connected: lends a connection to look at the days."""
        async with connected() as connection:
            before = await _look(connection)
        undone: Sequence[str] = ()
        after = before
        if not before.are_right(self._retention_days):
            undone = await self._mend(before)
            async with connected() as connection:
                after = await _look(connection)
        if after.are_right(self._retention_days):
            undone = ()  # another process has done it meanwhile
        made, dropped = after.attached - before.attached, before.attached - after.attached
        return InboxUpkeep(len(made), len(dropped), after.ahead, tuple(undone), tuple(after.strange))

    async def _mend(self, days: InboxDays) -> Sequence[str]:
        """Mend the days over a new connection; return what failed, a line each."""
        try:
            async with asyncio.timeout(UPKEEP_MAX_S):
                async with await connect(self._url, name="payments upkeep", autocommit=True) as connection:
                    return await partitions.mend(connection, days, self._retention_days)
        except (psycopg.Error, TimeoutError) as error:
            return [first_line(error)]


async def _look(connection: Session) -> InboxDays:
    """Read the days as they are."""
    await begin(connection)
    days = await partitions.read_days(connection)
    await connection.commit()
    return days

"""The upkeep of the inbox's days."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from domain.ports.store import InboxUpkeep
from outbox.driver.connections import begin
from outbox.driver.conninfo import connect
from outbox.driver.sqlstates import first_line
from outbox.schema import partitions
from outbox.schema.partitions import InboxDays

UPKEEP_MAX_S: Final = 60.0


class Upkeep:
    """url: not through a pooler. retention_days: how long the inbox keeps its rows."""

    def __init__(self, url: str, retention_days: int) -> None:
        self._url = url
        self._retention_days = retention_days

    async def look(self, connection: psycopg.AsyncConnection[Any]) -> InboxDays:
        """Read the days as they are."""
        await begin(connection)
        days = await partitions.read_days(connection)
        await connection.commit()
        return days

    def is_done(self, days: InboxDays) -> bool:
        """Whether there is nothing to make or drop."""
        return days.are_right(self._retention_days)

    async def mend(self, days: InboxDays) -> Sequence[str]:
        """Make days ahead, drop those beyond the retention, over a new connection; return what failed, a line each."""
        try:
            async with asyncio.timeout(UPKEEP_MAX_S):
                async with await connect(self._url, name="payments upkeep", autocommit=True) as connection:
                    return await partitions.mend(connection, days, self._retention_days)
        except (psycopg.Error, TimeoutError) as error:
            return [first_line(error)]

    def result(self, before: InboxDays, after: InboxDays, undone: Sequence[str]) -> InboxUpkeep:
        """Return the result."""
        if self.is_done(after):
            undone = ()  # another process has done it meanwhile
        made, dropped = after.attached - before.attached, before.attached - after.attached
        return InboxUpkeep(len(made), len(dropped), after.ahead, tuple(undone), tuple(after.strange))

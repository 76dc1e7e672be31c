"""Ends a wait for a row that lock_timeout does not end.

PostgreSQL starts lock_timeout anew for each transaction that holds the row. If others share a row's lock in turns
(FOR SHARE), each of these waits is short, and together they have no end. statement_timeout would end them; but it would
also end a COMMIT that waits for a synchronous standby, which the server then takes as a commit that need not wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg
import structlog

from outbox.driver.conninfo import NAME, connect

WAIT_MAX_S: Final = 7.0
"""Longer than lock_timeout, which ends most waits. Shorter than what a customer notices."""
_END_WAIT: Final[LiteralString] = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
     WHERE pid = %s AND wait_event_type = 'Lock' AND wait_event = 'transactionid'"""


@asynccontextmanager
async def bound_row_waits(
    connection: psycopg.AsyncConnection[Any], url: str, seconds: float = WAIT_MAX_S
) -> AsyncIterator[None]:
    """Cancel the connection's statement if it waits for a row after so many seconds, and so on until the block ends.

    The statement then fails with 57014, and its context names the row. The connection is one of ours, not a pooler's.
    """
    ending: list[asyncio.Task[None]] = []
    pid = connection.info.backend_pid
    timer = asyncio.get_running_loop().call_later(
        seconds, lambda: ending.append(asyncio.ensure_future(_end_waits(pid, url, seconds)))
    )
    try:
        yield
    finally:
        timer.cancel()
        for task in ending:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _end_waits(pid: int, url: str, every_s: float) -> None:
    while True:
        try:
            async with await connect(url, name=NAME, autocommit=True) as other:
                await other.execute(_END_WAIT, [pid])
        except psycopg.Error as error:
            # Whoever waits meets the outage, too, and tells of it.
            structlog.get_logger("outbox.row_waits").debug("a wait was not ended", error=type(error).__name__)
        await asyncio.sleep(every_s)

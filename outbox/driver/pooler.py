"""Finds out whether a pooler is between us and PostgreSQL, and in which mode.

PgBouncer and similar poolers give a client an invented process id at login; the server tells the true one. In session
mode a client keeps its session. In transaction mode the next transaction may run in another session, without what the
last one prepared, set or listened to.
"""

from enum import Enum, auto
from typing import Any, Final, LiteralString

import psycopg

from outbox.driver.conninfo import connect

TRIES: Final = 5
"""On a busy pooler another client may take a session between our queries, but not so often in a row."""
_TRUE_PID: LiteralString = "SELECT pg_backend_pid()"


class Pooling(Enum):
    """Which pooler is between us and the server."""

    NONE = auto()
    SESSION = auto()
    TRANSACTION = auto()


async def behind_pooler(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether an idle connection goes through a pooler. Costs a round trip."""
    autocommit = connection.autocommit
    await connection.set_autocommit(True)
    try:
        return await _true_pid(connection) != connection.info.backend_pid
    finally:
        if not connection.closed:
            await connection.set_autocommit(autocommit)


async def pooling_of(url: str) -> Pooling:
    """Find out which pooler a URL leads through. Raises psycopg.OperationalError if nothing answers.

    Two clients ask in turn for the id of their session. If both get the same one, or one client gets two, the pooler is
    in transaction mode.
    """
    async with await connect(url, name="payments start", autocommit=True) as first:
        if not await behind_pooler(first):
            return Pooling.NONE
        async with await connect(url, name="payments start", autocommit=True) as second:
            seen = {await _true_pid(first)}
            for _ in range(TRIES):
                # Twice: some poolers hand out their sessions in turn.
                seen |= {await _true_pid(first), await _true_pid(first)}
                if len(seen) > 1 or await _true_pid(second) in seen:
                    return Pooling.TRANSACTION
    return Pooling.SESSION


async def _true_pid(connection: psycopg.AsyncConnection[Any]) -> int:
    ((pid,),) = await (await connection.execute(_TRUE_PID)).fetchall()
    return int(pid)

"""Whether a pooler stands between us and PostgreSQL, and of which kind: asked at start, once.

PgBouncer and its like give a client a made-up process id at login; the server tells the true one. In session mode a
client keeps its session. In transaction mode the next transaction may run in another session: what was prepared, set or
listened to in the last one is gone, or belongs to a stranger.
"""

from enum import Enum, auto
from typing import Any, Final, LiteralString

import psycopg

from outbox.driver.conninfo import connect

TRIES: Final = 5
"""On a busy pooler another client may come between; so often in a row it does not."""
_TRUE_PID: LiteralString = "SELECT pg_backend_pid()"


class Pooling(Enum):
    """What stands between."""

    NONE = auto()
    SESSION = auto()
    TRANSACTION = auto()


async def behind_pooler(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the connection, which is idle, leads through a pooler. Costs a round trip."""
    autocommit = connection.autocommit
    await connection.set_autocommit(True)
    try:
        return await _true_pid(connection) != connection.info.backend_pid
    finally:
        if not connection.closed:
            await connection.set_autocommit(autocommit)


async def pooling_of(url: str) -> Pooling:
    """Look at what is behind a URL. Raises psycopg.OperationalError if nothing answers.

    Two clients ask by turns which session they are in. If they meet in one, or one of them moves to another, sessions
    are not theirs.
    """
    async with await connect(url, name="payments start", autocommit=True) as first:
        if not await behind_pooler(first):
            return Pooling.NONE
        async with await connect(url, name="payments start", autocommit=True) as second:
            seen = {await _true_pid(first)}
            for _ in range(TRIES):
                # Twice, for a pooler that hands out its sessions in turn.
                seen |= {await _true_pid(first), await _true_pid(first)}
                if len(seen) > 1 or await _true_pid(second) in seen:
                    return Pooling.TRANSACTION
    return Pooling.SESSION


async def _true_pid(connection: psycopg.AsyncConnection[Any]) -> int:
    row = await (await connection.execute(_TRUE_PID)).fetchone()
    assert row is not None
    return int(row[0])

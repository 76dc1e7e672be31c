"""The connections of the hot path: lent for one transaction, kept open between.

Not SQLAlchemy's pool: behind its asynchronous engine a transaction costs a quarter of a millisecond more (measured),
twice its round trips. Not psycopg_pool: who waits for it is not told why no connection can be made.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import psycopg
from psycopg.types.json import set_json_loads

HOT_OPTIONS: Final = " ".join(
    f"-c {option}"
    for option in (
        # The first plans are made while tables are empty and have no statistics. Without these they may join a batch by
        # scanning a whole table, and are cached: ten times slower once there is data. What is left is one index look-up
        # for each element of an array, which is right for every size.
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "jit=off",
        "timezone=UTC",
        "idle_in_transaction_session_timeout=60000",
        "lock_timeout=30000",
    )
)


class Connections:
    """conninfo: libpq's. size: how many transactions run at once; who is one too many waits."""

    def __init__(self, conninfo: str, size: int) -> None:
        set_json_loads(orjson.loads)
        self._conninfo = conninfo
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._slots = asyncio.Semaphore(size)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Lend a connection; what was not committed is rolled back. Raises what psycopg raises."""
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            finally:
                await self._take_back(connection)

    async def close(self) -> None:
        """Close all that nobody has."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._conninfo, options=HOT_OPTIONS, prepare_threshold=1)

    async def _take_back(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Keep a connection for the next, or throw it away if it is broken: then the idle ones will be, too."""
        try:
            await connection.rollback()
        except psycopg.Error:
            await connection.close()
            await self.close()
        else:
            self._idle.append(connection)

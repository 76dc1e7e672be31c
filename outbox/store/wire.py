"""One transaction's connection, and which of its statements are sent together."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import Any, Final, LiteralString

import psycopg

from outbox.driver.batches import Batch, Row
from outbox.driver.connections import begin

FEW_MAX: Final = 16
"""Of so many orders at most, round trips cost more than anything else that a transaction does."""


class Wire:
    """Sends statements over a connection in a transaction.

    until_end: is left when the transaction ends. few_max: of so many orders a transaction stays in one pipeline from
    where it begins to its end. A statement whose answer nobody asks for then costs no round trip; if it fails, that is
    told late, with the next answer or the commit. brief: wait for locks for a short time only.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], until_end: AsyncExitStack, few_max: int, *, brief: bool
    ) -> None:
        self.connection = connection
        self.pipelined = False
        self._until_end = until_end
        self._few_max = few_max
        self._brief = brief
        self._begun = False
        self._cursor = connection.cursor(binary=True)

    async def pipeline(self) -> None:
        """Send statements together from here to the end."""
        if not self.pipelined:
            await self._until_end.enter_async_context(self.connection.pipeline())
            self.pipelined = True

    async def pipeline_if_few(self, orders: int) -> None:
        """Send statements together from here to the end, if the transaction is of so few orders."""
        if orders <= self._few_max:
            await self.pipeline()

    def together(self) -> AbstractAsyncContextManager[Any]:
        """Have statements sent together and answered together; in a pipeline all are anyway."""
        return nullcontext() if self.pipelined else self.connection.pipeline()

    async def begin(self) -> None:
        """Give the transaction the settings that are its own, once."""
        if not self._begun:
            self._begun = True
            await begin(self.connection, brief=self._brief)

    def cursor(self) -> psycopg.AsyncCursor[Any]:
        """Return a cursor of its own: in a pipeline another may still have results to come."""
        return self.connection.cursor(binary=True)

    async def execute(self, statement: Any, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        await self._cursor.execute(statement, parameters)

    async def query(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query; return its rows."""
        await self._cursor.execute(query, parameters)
        return await self._cursor.fetchall()

    async def ask(self, *questions: tuple[Any, Sequence[Any]]) -> list[list[Row]]:
        """Run queries with their parameters, sent together; return the rows of each. The first begin the transaction.

        Each is a statement of its own: it sees what others committed while the one before it waited for a lock.
        """
        cursors = [self.cursor() for _ in questions]
        async with self.together():
            await self.begin()
            for cursor, (query, parameters) in zip(cursors, questions, strict=True):
                await cursor.execute(query, parameters)
        return [await cursor.fetchall() for cursor in cursors]

    async def run(self, batch: Batch, rows: Sequence[Row]) -> None:
        """Run a statement over rows; over none it is left out."""
        if rows:
            await self._cursor.execute(batch.sql, batch.arrays(rows))

    async def copy(self, query: LiteralString, body: bytes) -> None:
        """Copy rows. Not in a pipeline: PostgreSQL cannot."""
        async with self._cursor.copy(query) as copy:
            await copy.write(body)

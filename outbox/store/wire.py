"""A transaction's connection; decides which statements are sent together."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import Any, Final, LiteralString

import psycopg

from outbox.driver.batches import Batch, Row
from outbox.driver.connections import begin

FEW_MAX: Final = 16
"""With at most so many orders, round trips are the largest cost of a transaction."""


class Wire:
    """Sends the statements of one transaction.

    until_end: closed when the transaction ends. few_max: a transaction with at most so many orders is one pipeline. A
    statement whose answer nobody reads costs no round trip there; its error comes late, with the next answer or the
    commit. brief: wait for locks for a short time only.
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
        """Send statements in one pipeline from here to the end."""
        if not self.pipelined:
            await self._until_end.enter_async_context(self.connection.pipeline())
            self.pipelined = True

    async def pipeline_if_few(self, orders: int) -> None:
        """Start the pipeline if the transaction has few orders."""
        if orders <= self._few_max:
            await self.pipeline()

    def together(self) -> AbstractAsyncContextManager[Any]:
        """Send the statements inside together and wait for all. In a pipeline all are sent together anyway."""
        return nullcontext() if self.pipelined else self.connection.pipeline()

    async def begin(self) -> None:
        """Begin the transaction with its settings, once."""
        if not self._begun:
            self._begun = True
            await begin(self.connection, brief=self._brief)

    def cursor(self) -> psycopg.AsyncCursor[Any]:
        """Make a new cursor: in a pipeline another may still wait for results."""
        return self.connection.cursor(binary=True)

    async def execute(self, statement: Any, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        await self._cursor.execute(statement, parameters)

    async def query(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query; return its rows."""
        await self._cursor.execute(query, parameters)
        return await self._cursor.fetchall()

    async def ask(self, *questions: tuple[Any, Sequence[Any]]) -> list[list[Row]]:
        """Run queries with their parameters, sent together; return the rows of each.

        The first call begins the transaction. A query sees what others committed while the one
        before it waited for a lock.
        """
        cursors = [self.cursor() for _ in questions]
        async with self.together():
            await self.begin()
            for cursor, (query, parameters) in zip(cursors, questions, strict=True):
                await cursor.execute(query, parameters)
        return [await cursor.fetchall() for cursor in cursors]

    async def run(self, batch: Batch, rows: Sequence[Row]) -> None:
        """Run a statement over rows, if there are any."""
        if rows:
            await self._cursor.execute(batch.sql, batch.arrays(rows))

    async def copy(self, query: LiteralString, body: bytes) -> None:
        """Copy rows. PostgreSQL cannot do it in a pipeline."""
        async with self._cursor.copy(query) as copy:
            await copy.write(body)

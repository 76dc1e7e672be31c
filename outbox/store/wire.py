"""A transaction's connection; decides which statements are sent together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

from outbox.driver.batches import Batch, Row
from outbox.driver.connections import BRIEF, PRELUDE
from outbox.driver.exchange import Asked, Exchange
from outbox.driver.session import Session

FEW_MAX: Final = 64
"""With at most so many orders, round trips are the largest cost of a transaction."""


class Wire:
    """Sends the statements of one transaction.

    few_max: a transaction with at most so many orders has as few round trips as it can. A statement whose answer nobody
    reads waits there for the next question or the commit; its error comes late, too. brief: wait for locks for a short
    time only.
    """

    def __init__(self, session: Session, few_max: int, *, brief: bool) -> None:
        self.few = False
        """Whether statements wait for the next question."""
        self._session = session
        self._few_max = few_max
        self._brief = brief
        self._begun = False
        self._together = False
        self._exchange = Exchange(session)

    def note_orders(self, orders: int) -> None:
        """Note how many orders the transaction has."""
        if orders <= self._few_max:
            self.few = True

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Send the statements inside together; with few orders, together with the next question."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
        await self._send_unless_few()

    def begin(self) -> None:
        """Begin the transaction with its settings, once."""
        if not self._begun:
            self._begun = True
            if self._session.pooled:
                self._exchange.add(PRELUDE)
            if self._brief:
                self._exchange.add(BRIEF)

    async def execute(self, statement: Any, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        self._exchange.add(statement, parameters)
        await self._send_unless_few()

    async def query(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query; return its rows."""
        asked = self._exchange.add(query, parameters)
        await self._exchange.send()
        return asked.rows

    def later(self, query: Any, parameters: Sequence[Any] = ()) -> Asked:
        """Add a query; its rows are there once it has been sent, with those that come after it."""
        return self._exchange.add(query, parameters)

    async def ask(self, *questions: tuple[Any, Sequence[Any]]) -> list[list[Row]]:
        """Run queries with their parameters, sent together; return the rows of each.

        The first call begins the transaction. A query sees what others committed while the one
        before it waited for a lock.
        """
        self.begin()
        asked = [self._exchange.add(query, parameters) for query, parameters in questions]
        await self._exchange.send()
        return [one.rows for one in asked]

    async def run(self, batch: Batch, rows: Sequence[Row]) -> None:
        """Run a statement over rows, if there are any."""
        if rows:
            await self.execute(batch.sql, batch.arrays(rows))

    async def copy(self, query: LiteralString, body: bytes) -> None:
        """Copy rows. PostgreSQL cannot do it together with statements."""
        await self._exchange.send()
        async with self._session.cursor(binary=True) as cursor, cursor.copy(query) as copy:
            await copy.write(body)

    async def plain(self) -> Session:
        """Return the connection for statements of others; what waits is sent before them."""
        await self._exchange.send()
        return self._session

    @asynccontextmanager
    async def to_end(self) -> AsyncIterator[None]:
        """Send the statements inside together with the commit behind them."""
        self.few = True
        yield
        await self._exchange.send(commit=True)

    async def _send_unless_few(self) -> None:
        if not self.few and not self._together:
            await self._exchange.send()

"""The store's questions of one statement each, and how a single statement is run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg

from domain.dead_letter import DeadLetter
from domain.ids import OrderId
from domain.ports.source import Passed
from outbox.driver.connections import PRELUDE, Connections
from outbox.driver.exchange import Asked, Exchange
from outbox.driver.session import Session
from outbox.journal.rows import letter_origin
from outbox.store import early, questions
from outbox.store.claiming import pages_between, touched
from outbox.store.faults import in_domain
from outbox.store.reach import Spacing


class PgQuestions:
    """Part of PostgresStore: what it asks off the path of orders, each with a transaction of its own."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._spacing: dict[str, Spacing] = {}

    async def short_holds(self, within_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold elsewhere that lapses so soon while it is being paid for."""
        return [OrderId(row[0]) for row in await self._once(questions.SHORT_HOLDS, [within_s, limit])]

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return await self._spaced("reservation", questions.LAPSED_HOLDS, [], limit)

    async def unapproved_orders(self, noted_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders with a request that has waited so long for a second person."""
        return [OrderId(row[0]) for row in await self._once(questions.UNAPPROVED, [noted_s, limit])]

    async def early_orders(self, limit: int) -> Sequence[OrderId]:
        """Return orders whose early messages are to be looked at."""
        return [OrderId(row[0]) for row in await self._once(early.TO_LOOK_AT, [limit])]

    async def delayed_orders(self, open_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders with a slow operation whose customer has no notice of it yet."""
        return await self._spaced("operation", questions.DELAYED_ORDERS, [open_s, open_s], limit)

    async def known_before(self, order_id: OrderId) -> Sequence[str]:
        """Return a few of the gateway's transactions of orders from before this one, the newest first."""
        return [str(row[0]) for row in await self._once(questions.KNOWN_BEFORE, [order_id])]

    async def passed(self, group: str, topic: str, topic_id: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's word to pass over this offset."""
        rows = await self._once(questions.PASSED, [group, topic, topic_id, partition, offset, offset])
        return Passed(*rows[0]) if rows else None

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this letter is kept already."""
        place = [letter.group, letter.topic, letter.partition, letter.offset, letter_origin(letter)]
        return bool(await self._once(questions.HAS_LETTER, place))

    async def end_frozen(self, unmoved_s: float) -> int:
        """End sessions of this module whose process stands still; return how many."""
        return len(await self._once(questions.END_FROZEN, [unmoved_s]))

    async def _spaced(
        self, table: LiteralString, query: LiteralString, parameters: Sequence[Any], limit: int
    ) -> list[OrderId]:
        """Return orders that a look finds; none, if the last one walked over so many pages that it is too soon."""
        spacing, now = self._spacing.setdefault(query, Spacing()), asyncio.get_running_loop().time()
        if not spacing.is_due(now):
            return []
        before, found, after = await self._asked(
            [(touched(table), []), (query, [*parameters, limit]), (touched(table), [])]
        )
        # What is left behind the limit is looked for at once.
        spacing.note(pages_between(before, after) if len(found.rows) < limit else 0, now)
        return [OrderId(row[0]) for row in found.rows]

    async def _once(self, query: Any, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        (asked,) = await self._asked([(query, parameters)])
        return asked.rows

    async def _asked(self, questions: Sequence[tuple[Any, Sequence[Any]]]) -> list[Asked]:
        """Ask these in one transaction of their own."""
        async with self._connection() as session:
            exchange = Exchange(session)
            if session.pooled:
                exchange.add(PRELUDE)
            asked = [exchange.add(query, parameters) for query, parameters in questions]
            await exchange.send(commit=True)
            return asked

    @asynccontextmanager
    async def _connection(self, *, contended: bool = False) -> AsyncIterator[Session]:
        """Lend a connection; turn the driver's errors into the families of the domain."""
        try:
            async with self._connections.lend() as connection:
                yield connection
        except psycopg.Error as error:
            self._learn(error)
            raise in_domain(error, contended=contended) from error

    def _learn(self, error: psycopg.Error) -> None:
        """Adapt what the next transactions expect to an error; the store overrides it."""

"""A backup that runs for as long as it is wanted, as pg_dump does it; and inserts that go on meanwhile, timed."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import psycopg
from psycopg import sql

from domain.ports.store import Entry
from outbox.store import PostgresStore
from tests.schemas.builders import order_confirmed

TABLES = """
    SELECT oid::regclass::text FROM pg_class
     WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY oid"""
NAME = "pg_dump"
_EVENTS = itertools.count(1)


@contextmanager
def backup(url: str) -> Iterator[None]:
    """Hold every table as pg_dump does from its first moment to its last."""
    plain = url.replace("+psycopg", "")
    with psycopg.connect(plain, application_name=NAME) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for (table,) in session.execute(TABLES).fetchall():
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(table)))
        yield
        session.rollback()


async def insert(store: PostgresStore) -> None:
    """Enter an event of now into the inbox."""
    today = datetime.now(UTC)  # noqa: TID251 - partitions are made for the days around today
    event = order_confirmed(event_id=UUID(int=next(_EVENTS)), occurred_at=today)
    async with store.transaction() as transaction:
        await transaction.load([])
        await transaction.receive(Entry("a", [event], [0]))


Enter = Callable[[], Awaitable[None]]


def release_before(url: str) -> Enter:
    """Enter events of now into the inbox as the release before 0004 does it: without their content."""

    async def enter() -> None:
        connection = await psycopg.AsyncConnection.connect(url.replace("+psycopg", ""))
        try:
            await connection.execute(
                "INSERT INTO inbox (day, consumer_group, event_id) VALUES ((now() AT TIME ZONE 'UTC')::date, 'a', %s)",
                [UUID(int=next(_EVENTS))],
            )
            await connection.commit()
        finally:
            # Leaving the connection's own block would commit, and leave it open if that is cancelled.
            await connection.close()

    return enter


class Flow:
    """took_s: how long each insert took."""

    def __init__(self, enter: Enter) -> None:
        self.took_s: list[float] = []
        self._enter = enter

    async def go(self) -> None:
        """Insert for ever, one after the other."""
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            await self._enter()
            self.took_s.append(loop.time() - begun)


@asynccontextmanager
async def flowing(store: PostgresStore, enter: Enter | None = None) -> AsyncIterator[Flow]:
    """Keep inserting while inside, and until an insert has ended that began after the last thing inside.

    enter: how, if not as this release does it.
    """
    flow = Flow(enter or partial(insert, store))
    going = asyncio.create_task(flow.go())
    try:
        yield flow
        seen = len(flow.took_s)
        while len(flow.took_s) < seen + 2:
            await asyncio.sleep(0.01)  # an insert is under way
            if going.done():
                going.result()
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

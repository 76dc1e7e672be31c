"""A relay of a test's own: rows to send, and a publisher that notes what it is given."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

import psycopg
import pytest

from domain.errors import Transient
from domain.ports.publisher import OutgoingMessage, Published, Publisher, Refusal, Scope, always
from outbox.driver.session import Session
from outbox.relay import Relay
from outbox.relay.lease import Lease
from tests.eventually import EVENTUALLY_S
from tests.schemas.builders import event_id

AT = datetime(2026, 3, 1, tzinfo=UTC)
WAIT_S = EVENTUALLY_S


class Notebook:
    """A Publisher that notes what it is given. refuses: topics. fails: how often it breaks after the first message."""

    def __init__(self, refuses: Sequence[str] = (), fails: int = 0) -> None:
        self.sent: list[int] = []
        self.batches: list[list[int]] = []
        self.refuses = set(refuses)
        self.fails = fails

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Take what is not refused."""
        assert allowed()
        self.batches.append([m.id for m in messages])
        if self.fails:
            self.fails -= 1
            self.sent.append(messages[0].id)
            raise Transient("Kafka is away")
        taken = [m.id for m in messages if m.topic not in self.refuses]
        self.sent += taken
        refusal = Refusal("not allowed", Scope.TOPIC)
        return Published(taken, {m.id: refusal for m in messages if m.topic in self.refuses})

    async def close(self) -> None:
        """Be done."""


class Unlocked(Relay):
    """A relay that thinks it is the only one, as after a pause that its clock did not count."""

    def _lease_over(self, connection: psycopg.AsyncConnection[Any]) -> Lease:
        return Unquestioned(connection, "itself", 10)


class Unquestioned(Lease):
    """A lease that holds whoever else has it."""

    async def take(self) -> bool:
        return True

    def may_send(self) -> bool:
        return True

    async def keep(self) -> None:
        await asyncio.Event().wait()


def conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Session]:
    async with await Session.connect(conninfo(database_url), autocommit=True) as opened:
        yield opened


Rows = tuple[int, str, str]
"""(id, topic, key)."""


async def append(connection: psycopg.AsyncConnection[Any], *rows: Rows) -> None:
    """Write events as units of work do that have one each."""
    for row in rows:
        await append_together(connection, row)


async def append_together(connection: psycopg.AsyncConnection[Any], *rows: Rows) -> None:
    """Write events as the unit of work does that has them all."""
    for row_id, topic, key in rows:
        values = [row_id, uuid5(event_id("relay"), str(row_id)), key, row_id, topic, key.encode(), b"%d" % row_id, AT]
        await connection.execute(
            """INSERT INTO event (id, event_id, order_id, order_version, ordinal, topic, key, body, occurred_at)
               OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, 0, %s, %s, %s, %s)""",
            values,
        )
    await connection.execute("INSERT INTO outbox (event_ids) VALUES (%s)", [[row[0] for row in rows]])


async def left(connection: psycopg.AsyncConnection[Any]) -> list[int]:
    """Return the ids that the outbox holds, row by row; a row without any would be in the relay's way for ever."""
    rows = [ids for (ids,) in await (await connection.execute("SELECT event_ids FROM outbox ORDER BY id")).fetchall()]
    assert all(rows)
    return [row_id for ids in rows for row_id in ids]


def making(publisher: Publisher) -> Callable[[], Awaitable[Publisher]]:
    async def make() -> Publisher:
        return publisher

    return make


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    """Run a relay meanwhile."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(relay.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await holds():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)

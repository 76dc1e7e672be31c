"""PostgreSQL is killed while webhooks come: what was answered 200 is kept, and nothing else was answered so."""

import asyncio

import orjson
import psycopg
import pytest

from deploy.embedded import EmbeddedServers
from outbox.driver.connections import Connections
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.store.notices import PgNotices
from tests.webhooks.gateway import endpoint, event

pytestmark = [pytest.mark.integration, pytest.mark.kill]

SENDERS = 8


async def test_what_was_answered_200_outlives_a_kill_of_postgresql(own_servers: EmbeddedServers) -> None:
    upgrade(own_servers.database_url)
    url = libpq_url(own_servers.database_url)
    connections = Connections(url, 2)
    answered: dict[int, set[str]] = {}
    killed = asyncio.Event()
    after = 0

    async with endpoint(PgNotices(connections)) as sender:

        async def send(of: int) -> None:
            """Send until several were answered 200 after the kill and a refusal."""
            nonlocal after
            number = 0
            while after < 50:
                number += 1
                status = await sender.post(orjson.dumps(event(f"{of}_{number}", "order-1", "pi_1")))
                answered.setdefault(status, set()).add(f"evt_{of}_{number}")
                after += status == 200 and killed.is_set() and 503 in answered

        async def kill() -> None:
            while len(answered.get(200, ())) < 50:  # noqa: ASYNC110 - some are kept before
                await asyncio.sleep(0.01)
            await asyncio.to_thread(own_servers.postgres.kill)
            while 503 not in answered:  # noqa: ASYNC110 - some are refused meanwhile
                await asyncio.sleep(0.01)
            killed.set()
            await asyncio.to_thread(own_servers.postgres.start)

        async with asyncio.timeout(90):
            await asyncio.gather(kill(), *(send(n) for n in range(SENDERS)))
    await connections.close()
    assert answered.keys() == {200, 503}
    async with await psycopg.AsyncConnection.connect(url) as connection:
        kept = {row[0] async for row in await connection.execute("SELECT notice_id FROM gateway_notice")}
    assert answered[200] <= kept

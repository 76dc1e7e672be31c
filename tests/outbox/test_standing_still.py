"""A server that stands still, or has no room for us, is waited for; what we have there is kept as long as it works."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from deploy.embedded import EmbeddedServers, temporary_servers
from domain.errors import DownForEverybody, Transient
from outbox.driver.connections import Connections
from outbox.driver.conninfo import connect
from outbox.relay.lease import Lease
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.eventually import EVENTUALLY_S
from tests.outbox.test_server_errors import run
from tests.servers.memory import in_memory

pytestmark = pytest.mark.integration

PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    """Run a PostgreSQL whose processes may be stopped; its Kafka is not started."""
    with temporary_servers(progress=print, parent=in_memory()) as made:
        made.own()
        made.postgres.start()
        upgrade(made.database_url)
        yield made


@pytest.fixture
async def store(servers: EmbeddedServers) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(servers.database_url, 2, answer_max_s=1), Codec().encode)
    await made.maintain()
    yield made
    await made.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_session_that_stands_still_is_given_up_and_work_goes_on_in_another(store: PostgresStore) -> None:
    ((pid,),) = await run(store, PID)
    with stopped(pid):
        with pytest.raises(DownForEverybody, match="has not answered for 1 s"):
            await run(store, PID)
        ((other,),) = await run(store, PID)
        assert other != pid


async def test_a_server_that_stands_still_lets_nobody_in_and_is_waited_for(
    servers: EmbeddedServers, store: PostgresStore
) -> None:
    await store.close()
    postmaster = servers.postgres.pid
    assert postmaster is not None
    with stopped(postmaster), pytest.raises(DownForEverybody, match="has not answered for 1 s"):
        await run(store, PID)
    assert await run(store, "SELECT 1") == [(1,)]


async def test_too_many_connections_cost_us_none_of_ours(servers: EmbeddedServers, store: PostgresStore) -> None:
    plain = servers.database_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute("ALTER DATABASE payments CONNECTION LIMIT 2")
        try:
            async with store.transaction() as transaction:
                before = await transaction.query(PID)
                with pytest.raises(DownForEverybody, match="too many connections"):
                    await run(store, PID)
            after = await run(store, PID)
        finally:
            admin.execute("ALTER DATABASE payments CONNECTION LIMIT -1")
    assert after == before


async def test_a_relay_that_stands_by_does_not_wait_for_a_session_that_stands_still(servers: EmbeddedServers) -> None:
    async with await connect(servers.database_url, name="payments relay", autocommit=True) as connection:
        lease = Lease(connection, "this relay", 1.0)
        assert await lease.take()
        ((pid,),) = await (await connection.execute(PID)).fetchall()
        with stopped(pid), pytest.raises(Transient, match="did not say in time"):
            await asyncio.wait_for(lease.take(), EVENTUALLY_S)

"""A process that stands still amid a transaction holds locks. Its session is ended; nobody else's is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg
import pytest

from outbox.driver.conninfo import NAME, conninfo_of
from outbox.store import PostgresStore
from tests.eventually import eventually
from tests.outbox.migrated import database_template, store, taking
from tests.outbox.test_memory import execute
from tests.outbox.test_server_errors import ask

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

Frozen = Callable[[str], AbstractContextManager[int]]
FROZEN_S = 0.1
SELL = "UPDATE stock SET available = available - 1, sold = sold + 1"
TIMEOUTS = "-c statement_timeout=50 -c idle_in_transaction_session_timeout=50"
"""As our own sessions have them, only shorter: the server's own time-outs do not end these states."""


@contextmanager
def selling(url: str, name: str = NAME) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    conninfo = conninfo_of(url, application_name=name, options=TIMEOUTS)
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute(SELL)
        yield connection


@contextmanager
def frozen_in_copy(url: str, name: str = NAME) -> Iterator[int]:
    """Stand still between a COPY and its data, with a stock row locked."""
    with selling(url, name) as connection:
        connection.execute("SET LOCAL statement_timeout = 50")
        connection.pgconn.send_query(b"COPY outbox FROM STDIN (FORMAT BINARY)")
        yield connection.info.backend_pid
        connection.close()


@contextmanager
def frozen_in_pipeline(url: str) -> Iterator[int]:
    """Stand still between two statements of a pipeline, with a stock row locked."""
    with selling(url) as connection, suppress(psycopg.OperationalError), connection.pipeline():
        connection.execute("SET LOCAL statement_timeout = 50")
        assert connection.execute("SELECT 1").fetchone() == (1,)
        yield connection.info.backend_pid
        connection.close()


def waits_for_client(url: str, pid: int) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientRead' AND state = 'active'"
    age = f"clock_timestamp() - state_change > interval '{FROZEN_S} s'"
    return bool(ask(url, f"{query} AND pid = {pid} AND {age}"))


@pytest.fixture
def stock(store: PostgresStore, database_url: str) -> None:
    execute(database_url, "INSERT INTO stock VALUES ('tea', 10, 0, 0)")


@pytest.mark.parametrize("frozen", [frozen_in_copy, frozen_in_pipeline])
async def test_whoever_stands_still_amid_a_transaction_loses_its_session_and_its_locks(
    store: PostgresStore, stock: None, database_url: str, frozen: Frozen
) -> None:
    with frozen(database_url) as pid:
        eventually(lambda: waits_for_client(database_url, pid), "the server waits for the client, beyond its time-outs")
        assert await store.end_frozen(60) == 0

        assert await store.end_frozen(FROZEN_S) == 1

        gone = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}"
        eventually(lambda: ask(database_url, gone), "its session is gone")
        execute(database_url, "SET lock_timeout = 1000", SELL)
    assert ask(database_url, "SELECT available FROM stock") == 9


async def test_a_session_of_another_program_is_left_alone(store: PostgresStore, stock: None, database_url: str) -> None:
    with frozen_in_copy(database_url, "psql") as pid:
        eventually(lambda: waits_for_client(database_url, pid), "the server waits for the client")
        assert await store.end_frozen(FROZEN_S) == 0


async def test_an_idle_connection_of_ours_is_left_alone(store: PostgresStore, database_url: str) -> None:
    taking(store, few=False)  # amid a pipeline none is idle
    async with store.transaction() as transaction:
        await transaction.load([])
        async with store.transaction() as other:
            await other.load([])
            assert await store.end_frozen(0) == 0

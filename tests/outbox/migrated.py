"""A database at head, made once for a module and copied for each of its tests, and a store over it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from outbox.driver.connections import Connections
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.servers.databases import fresh_database


@pytest.fixture(scope="session")
def database_template(database_server_url: str) -> Iterator[str]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        yield url.rsplit("/", 1)[1]


def taking(store: PostgresStore, *, few: bool) -> PostgresStore:
    """Have all its transactions go the way of few orders, or that of many."""
    store._few_max = 1_000_000 if few else -1
    return store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(database_url.replace("+psycopg", ""), 3), Codec().encode)
    await made.maintain()
    yield made
    await made.close()

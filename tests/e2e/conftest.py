"""Servers that every test here may kill, and a deployment on them."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServers, temporary_servers
from outbox.driver.connections import Connections
from outbox.operators.stock import set_available
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.e2e.deployment import Deployment, deployment
from tests.e2e.script import PLENTY, PLENTY_UNITS, SCARCE, SCARCE_UNITS
from tests.servers.databases import fresh_database
from tests.servers.memory import in_memory


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    """Run a Kafka and a PostgreSQL of this module's own; a test that stops one leaves it to the next to start it."""
    with temporary_servers(progress=print, parent=in_memory()) as made:
        yield made.start()


@pytest.fixture(scope="module")
def template(servers: EmbeddedServers) -> Iterator[str]:
    """Migrate a database and stock the shelf once; every test's is a copy of it."""
    with fresh_database(servers.database_url, None) as url:
        upgrade(url)
        asyncio.run(furnish(url))
        yield url.rsplit("/", 1)[1]
        servers.start()


async def furnish(url: str) -> None:
    """Stock the shelf that the script counts on."""
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    async with store.transaction() as transaction:
        for sku, units in ((PLENTY, PLENTY_UNITS), (SCARCE, SCARCE_UNITS)):
            await set_available(transaction, sku, units, "test")
    await store.close()


@pytest.fixture
def shop(servers: EmbeddedServers, template: str, tmp_path: Path) -> Iterator[Deployment]:
    """Make a deployment with stock and a sandbox, and no process of the pipeline yet."""
    with deployment(servers, tmp_path, template, f"shop{secrets.token_hex(3)}.") as made:
        yield made

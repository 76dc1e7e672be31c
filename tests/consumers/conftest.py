"""A whole pipeline in the test's process: real Kafka, real PostgreSQL, the simulated gateway."""

from collections.abc import Iterator

import pytest

from outbox.migrations import upgrade
from tests.servers.databases import fresh_database


@pytest.fixture(scope="session")
def database_template(database_server_url: str) -> Iterator[str]:
    """Migrate a database once; every test's database is a copy of it."""
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        yield url.rsplit("/", 1)[1]

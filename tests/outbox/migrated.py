"""A database at head, made once for a module and copied for each of its tests."""

from collections.abc import Iterator

import pytest

from outbox.migrations import upgrade
from tests.servers.databases import fresh_database


@pytest.fixture(scope="session")
def database_template(database_server_url: str) -> Iterator[str]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        yield url.rsplit("/", 1)[1]

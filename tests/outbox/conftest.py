"""A whole run of the pipeline, played once; every test breaks a copy of its own."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from outbox.migrations import upgrade
from tests.outbox.world import Case, World, play
from tests.servers.databases import fresh_database


@pytest.fixture(scope="session")
def world(database_server_url: str, kafka_bootstrap: str) -> Iterator[World]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        prefix = f"t{secrets.token_hex(5)}."
        entries, topics = asyncio.run(play(url, kafka_bootstrap, prefix))
        yield World(url.rsplit("/", 1)[1], prefix, entries, topics)


@pytest.fixture
def case(world: World, database_server_url: str) -> Iterator[Case]:
    with fresh_database(database_server_url, world.template) as url:
        yield Case(world, url.replace("postgresql+psycopg", "postgresql"))

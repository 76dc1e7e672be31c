"""A whole run of the pipeline, played once; every test breaks it, and what it broke is mended afterwards."""

import asyncio
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from tests.outbox.world import Case, World, play
from tests.servers.databases import database_of, fresh_database

TABLES = """
    SELECT c.relname FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     ORDER BY c.relname"""


@pytest.fixture(scope="session")
def world(database_server_url: str, kafka_bootstrap: str) -> Iterator[World]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        prefix = f"t{secrets.token_hex(5)}."
        entries, topics = asyncio.run(play(url, kafka_bootstrap, prefix))
        _for_each_table(
            libpq_url(url), "CREATE TABLE saved.{0} AS SELECT * FROM public.{0}", first="CREATE SCHEMA saved"
        )
        yield World(libpq_url(url), prefix, entries, topics)


@pytest.fixture
def case(world: World) -> Iterator[Case]:
    """Give the world, to be broken row by row: quicker than a copy."""
    yield Case(world, world.url)
    _for_each_table(
        world.url,
        "DELETE FROM public.{0}; INSERT INTO public.{0} OVERRIDING SYSTEM VALUE SELECT * FROM saved.{0}",
        first="SET LOCAL synchronous_commit = off",
    )


@pytest.fixture
def case_to_alter(world: World, database_server_url: str) -> Iterator[Case]:
    """Copy the world, for a test that alters a table."""
    with fresh_database(database_server_url, database_of(world.url)) as url:
        yield Case(world, libpq_url(url))


def _for_each_table(url: str, statement: str, *, first: str) -> None:
    """Do this to every table, all in one transaction."""
    with psycopg.connect(url) as connection:
        connection.execute(first.encode())
        for (table,) in connection.execute(TABLES).fetchall():
            name = sql.Identifier(table).as_string(connection)
            connection.execute(statement.format(name).encode())

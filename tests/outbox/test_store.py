"""The tables are what the migrations make, and the inbox has the days that it needs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from outbox.driver.connections import Connections
from outbox.driver.engine import engine_for
from outbox.schema.migrations import upgrade
from outbox.schema.partitions import day_of, name_of
from outbox.schema.tables import metadata
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.outbox.migrated import database_template

__all__ = ["database_template"]
pytestmark = pytest.mark.integration


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(Connections(database_url.replace("+psycopg", ""), 3), Codec().encode, inbox_retention_days=4)
    yield opened
    await opened.close()


def days(database_url: str) -> list[str]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'inbox'::regclass ORDER BY 1"
        )
        return [name for (name,) in rows]


def test_migrations_make_exactly_the_tables_that_the_code_describes(database_url: str) -> None:
    engine = engine_for(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: not (kind == "table" and str(name).startswith("inbox_")),
            },
        )
        differences = [d for d in compare_metadata(context, metadata) if "alembic_version" not in str(d)]
    engine.dispose()
    assert differences == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    before = days(database_url)
    upgrade(database_url)
    assert days(database_url) == before


async def test_inbox_reaches_from_the_retention_to_three_days_ahead(store: PostgresStore, database_url: str) -> None:
    await asyncio.gather(store.maintain(), store.maintain())
    made = [day_of(name) for name in days(database_url)]
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        ((today,),) = connection.execute("SELECT (now() AT TIME ZONE 'UTC')::date").fetchall()
    assert made == [today + timedelta(days=n) for n in range(-4, 4)]


async def test_inbox_forgets_what_is_past_its_retention_and_nothing_else(
    store: PostgresStore, database_url: str
) -> None:
    await store.maintain()
    kept = days(database_url)
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        for back in (1, 2):
            day = day_of(kept[0]) - timedelta(days=back)
            to = day + timedelta(days=1)
            made = f"CREATE TABLE {name_of(day)} PARTITION OF inbox FOR VALUES FROM ('{day}') TO ('{to}')"
            connection.execute(made.encode())
    assert len(days(database_url)) == len(kept) + 2
    await store.maintain()
    assert days(database_url) == kept

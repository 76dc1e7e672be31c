"""A migration that makes an index over rows waits for who wrote before it: until then no look-up may use the index."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from domain.errors import Transient
from domain.ports.store import Change, Changes
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.schema.state import schema_state
from outbox.store import PostgresStore
from tests.outbox.migrated import database_template, store
from tests.outbox.test_memory import execute, opened
from tests.outbox.test_numbering import to_revision

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

NAME = "report"


@contextmanager
def writing(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Keep a transaction open that has written, to no table of ours."""
    with psycopg.connect(libpq_url(url), application_name=NAME) as connection:
        connection.execute("CREATE TEMPORARY TABLE found (number int)")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("before", ["0001", "0012", "0020"])
async def test_a_migration_that_makes_an_index_over_rows_waits_for_who_wrote_before_and_names_them(
    store: PostgresStore, database_url: str, before: str
) -> None:
    async with store.transaction() as transaction:
        await transaction.save(Changes(orders=[Change(None, opened())]))
    execute(database_url, "INSERT INTO stock VALUES ('tea', 1, 0, 0)")
    to_revision(database_url, before)
    with writing(database_url), pytest.raises(Transient, match=rf"{NAME} \(pid \d+\), in a transaction that wrote"):
        upgrade(database_url, give_up_s=0)
    assert schema_state(database_url).revision == before
    upgrade(database_url)
    assert schema_state(database_url).usable


async def test_a_migration_of_empty_tables_waits_for_nobody(store: PostgresStore, database_url: str) -> None:
    to_revision(database_url, "0020")
    with writing(database_url):
        upgrade(database_url, give_up_s=0)
    assert schema_state(database_url).usable

"""A migration waits for tables that others use in short tries: orders flow meanwhile, and it says who is in the way."""

import asyncio
import threading

import pytest

from domain.errors import Transient
from outbox.schema.migrations import run as migrations
from outbox.schema.migrations import upgrade
from outbox.schema.state import schema_state
from outbox.store import PostgresStore
from tests.eventually import eventually
from tests.outbox.backups import NAME, backup, flowing, release_before
from tests.outbox.migrated import database_template, store
from tests.outbox.test_memory import execute
from tests.outbox.test_numbering import to_revision
from tests.outbox.test_server_errors import ask

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

BEFORE = "0003"
STALL_S = 5.0
"""Above two tries of a migration on a busy machine, far below a backup."""


async def test_during_a_backup_a_migration_stops_nobody_and_names_the_backup(
    store: PostgresStore, database_url: str
) -> None:
    to_revision(database_url, BEFORE)
    with backup(database_url):
        async with flowing(store, release_before(database_url)) as flow:
            with pytest.raises(Transient, match=rf"{NAME} \(pid \d+\)"):
                await asyncio.to_thread(upgrade, database_url, give_up_s=0)
        assert max(flow.took_s) < STALL_S
        assert schema_state(database_url).revision == BEFORE
    upgrade(database_url)
    assert schema_state(database_url).usable


def test_a_migration_goes_on_once_the_backup_is_over(store: PostgresStore, database_url: str) -> None:
    to_revision(database_url, BEFORE)
    heard: list[str] = []
    migrating = threading.Thread(target=upgrade, args=(database_url, heard.append))
    with backup(database_url):
        migrating.start()
        eventually(lambda: heard, "it says that it waits")
    migrating.join(migrations.GIVE_UP_S)
    assert NAME in heard[0]
    assert schema_state(database_url).usable


def test_several_migrations_at_once_bring_the_schema_to_head(store: PostgresStore, database_url: str) -> None:
    to_revision(database_url, BEFORE)
    threads = [threading.Thread(target=upgrade, args=(database_url,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(migrations.GIVE_UP_S)
    assert schema_state(database_url).usable
    assert ask(database_url, "SELECT count(*) FROM alembic_version") == 1


def test_a_migration_that_cannot_be_done_is_told_at_once(store: PostgresStore, database_url: str) -> None:
    to_revision(database_url, BEFORE)
    execute(database_url, "CREATE TABLE low_water (in_the_way int)")
    with pytest.raises(Exception, match="already exists"):
        upgrade(database_url)

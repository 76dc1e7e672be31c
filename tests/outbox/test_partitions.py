"""The inbox's days are made, kept and dropped while backups run, and whatever is in the way keeps nobody waiting."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from domain.errors import Contended, Transient
from domain.ports.store import Entry, Receipt
from domain.ports.upkeep import InboxUpkeep
from outbox.driver.connections import Connections
from outbox.schema.partitions import AHEAD_DAYS, name_of, oldest_day
from outbox.store import PostgresStore
from schemas.codec import Codec
from schemas.events import Event
from tests.outbox.backups import backup, flowing, insert
from tests.outbox.migrated import database_template
from tests.outbox.test_memory import execute
from tests.outbox.test_server_errors import ask
from tests.outbox.test_store import days
from tests.schemas.builders import order_confirmed

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

RETENTION = 4
STALL_S = 2.0
"""Far above what a busy machine needs for an insert, far below the half minute after which a wait for a lock ends."""


def store_of(url: str, upkeep_url: str | None = None) -> PostgresStore:
    connections = Connections(url.replace("+psycopg", ""), 3)
    return PostgresStore(connections, Codec().encode, inbox_retention_days=RETENTION, upkeep_url=upkeep_url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = store_of(database_url)
    assert (await made.maintain()).undone == ()
    yield made
    await made.close()


@pytest.fixture
def today(database_url: str) -> date:
    found = ask(database_url, "SELECT (now() AT TIME ZONE 'UTC')::date")
    assert isinstance(found, date)
    return found


def attach(day: date) -> str:
    return f"ALTER TABLE inbox ATTACH PARTITION {name_of(day)} FOR VALUES FROM ('{day}') TO ('{day + timedelta(1)}')"


def make(day: date) -> tuple[str, str]:
    return f"CREATE TABLE {name_of(day)} (LIKE inbox INCLUDING ALL)", attach(day)


def begin_detaching(url: str, day: date) -> None:
    """Leave a DETACH CONCURRENTLY half done, as one that is cut off does."""
    with pytest.raises(psycopg.errors.QueryCanceled):
        execute(url, "SET statement_timeout = 200", f"ALTER TABLE inbox DETACH PARTITION {name_of(day)} CONCURRENTLY")


async def receive(store: PostgresStore, day: date, number: int) -> Receipt:
    at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
    event: Event = order_confirmed(event_id=UUID(int=number), occurred_at=at)
    async with store.transaction(contended=True) as transaction:
        await transaction.load([])
        (receipt,) = await transaction.receive(Entry("g", [event], [0]))
    return receipt


async def test_during_a_backup_days_are_made_and_nobody_waits(
    store: PostgresStore, database_url: str, today: date
) -> None:
    last, past = today + timedelta(AHEAD_DAYS), today - timedelta(RETENTION + 1)
    execute(database_url, f"DROP TABLE {name_of(last)}", *make(past))
    with backup(database_url):
        async with flowing(store) as flow:
            done = await store.maintain()
        assert done._replace(undone=()) == InboxUpkeep(made=1, dropped=0, ahead=AHEAD_DAYS)
        (undone,) = done.undone
        assert undone.startswith(f"drop {name_of(past)}: ")
        assert max(flow.took_s) < STALL_S
        assert await receive(store, last, 1) is Receipt.NEW
    assert await store.maintain() == InboxUpkeep(made=0, dropped=1, ahead=AHEAD_DAYS)


async def test_what_a_day_is_made_of_is_what_its_parent_is(
    store: PostgresStore, database_url: str, today: date
) -> None:
    query = (
        "SELECT indexdef FROM pg_indexes WHERE tablename = '{0}' UNION ALL "
        "SELECT column_name || data_type || is_nullable FROM information_schema.columns WHERE table_name = '{0}'"
    )
    name = name_of(today)
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        parent = [x.replace("ONLY ", "") for (x,) in connection.execute(query.format("inbox").encode()).fetchall()]
        child = [x.replace(name, "inbox") for (x,) in connection.execute(query.format(name).encode()).fetchall()]
    assert child == parent
    assert ask(database_url, f"SELECT reloptions::text FROM pg_class WHERE relname = '{name}'") == (
        "{autovacuum_vacuum_scale_factor=0,autovacuum_vacuum_threshold=2000}"
    )


async def test_a_table_that_was_made_and_not_attached_is_taken_with_its_rows(
    store: PostgresStore, database_url: str, today: date
) -> None:
    day = today + timedelta(1)
    assert await receive(store, day, 1) is Receipt.NEW
    execute(database_url, f"ALTER TABLE inbox DETACH PARTITION {name_of(day)}")
    with pytest.raises(Transient, match="no partition for a day"):
        await receive(store, day, 1)

    assert (await store.maintain()).undone == ()

    assert await receive(store, day, 1) is Receipt.KNOWN


async def test_a_detachment_that_was_cut_off_is_ended_and_the_day_comes_back(
    store: PostgresStore, database_url: str, today: date
) -> None:
    first, past = today - timedelta(RETENTION), today - timedelta(RETENTION + 1)
    assert await receive(store, first, 1) is Receipt.NEW
    with backup(database_url):
        begin_detaching(database_url, first)
        during = await store.maintain()
        assert during.ahead == AHEAD_DAYS
        assert {line.partition(":")[0] for line in during.undone} == {
            f"detach {name_of(first)}",
            f"make {name_of(first)}",
        }
        assert await receive(store, first, 1) is Receipt.TOO_OLD, "it is no day of the inbox now"
    assert (await store.maintain()).undone == ()
    assert await receive(store, first, 1) is Receipt.KNOWN

    execute(database_url, *make(past))
    with backup(database_url):
        begin_detaching(database_url, past)
    assert (await store.maintain()).undone == ()
    assert name_of(past) not in days(database_url)
    assert ask(database_url, f"SELECT to_regclass('{name_of(past)}')::text") is None


async def test_one_day_that_cannot_be_made_keeps_no_other_from_it(
    store: PostgresStore, database_url: str, today: date
) -> None:
    tomorrow = today + timedelta(1)
    names = [name_of(tomorrow + timedelta(n)) for n in range(AHEAD_DAYS)]
    execute(database_url, *(f"DROP TABLE {name}" for name in names), f"CREATE TABLE {names[0]} (a int)")

    done = await store.maintain()

    assert (done.made, done.ahead) == (AHEAD_DAYS - 1, 0)
    (undone,) = done.undone
    assert undone.startswith(f"make {names[0]}: ")
    await insert(store)


async def test_partitions_of_other_names_are_left_alone(store: PostgresStore, database_url: str) -> None:
    archive = "CREATE TABLE inbox_of_old PARTITION OF inbox FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')"
    execute(database_url, archive)
    assert await store.maintain() == InboxUpkeep(made=0, dropped=0, ahead=AHEAD_DAYS)
    await insert(store)
    assert "inbox_of_old" in days(database_url)


def part(name: str, first: str, end: str) -> str:
    return f"CREATE TABLE {name} PARTITION OF inbox FOR VALUES FROM ('{first}') TO ('{end}')"


@pytest.mark.parametrize("name", ["inbox_20261399", "inbox_00000101", "inbox_99991231", "inbox_20010101"])
async def test_partitions_that_do_not_hold_the_day_of_their_name_are_told_and_left_alone(
    store: PostgresStore, database_url: str, name: str
) -> None:
    execute(database_url, part(name, "2002-01-01", "2002-02-01"))

    done = await store.maintain()

    assert done == InboxUpkeep(made=0, dropped=0, ahead=AHEAD_DAYS, strange=(name,))
    await insert(store)
    other = store_of(database_url)
    await insert(other)  # a process that is started only now
    await other.close()
    assert name in days(database_url)


async def test_a_partition_with_an_old_name_that_holds_today_is_never_dropped(
    store: PostgresStore, database_url: str, today: date
) -> None:
    swapped = "inbox_20010101"
    execute(database_url, f"DROP TABLE {name_of(today)}", part(swapped, f"{today}", f"{today + timedelta(1)}"))
    assert await receive(store, today, 1) is Receipt.NEW

    done = await store.maintain()

    assert (done.strange, done.ahead) == ((swapped,), -1)
    assert any(line.startswith(f"make {name_of(today)}: ") for line in done.undone), done.undone
    assert await receive(store, today, 1) is Receipt.KNOWN


async def test_dates_may_be_written_in_any_way(database_url: str) -> None:
    database = database_url.rsplit("/", 1)[1]
    execute(database_url, f"ALTER DATABASE {database} SET datestyle = 'German'")
    store = store_of(database_url)
    assert (await store.maintain()).ahead == AHEAD_DAYS
    assert await store.maintain() == InboxUpkeep(made=0, dropped=0, ahead=AHEAD_DAYS)
    await insert(store)
    await store.close()
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as audit:
        assert await oldest_day(audit) == ask(database_url, "SELECT (now() AT TIME ZONE 'UTC')::date") - timedelta(
            RETENTION
        )


async def test_a_default_partition_keeps_no_day_from_being_made_but_those_whose_rows_it_has(
    store: PostgresStore, database_url: str, today: date
) -> None:
    first, second = today + timedelta(1), today + timedelta(2)
    execute(database_url, f"DROP TABLE {name_of(first)}", f"DROP TABLE {name_of(second)}")
    execute(database_url, "CREATE TABLE inbox_rest PARTITION OF inbox DEFAULT")
    assert await receive(store, first, 1) is Receipt.NEW

    done = await store.maintain()

    assert (done.made, done.ahead, done.strange) == (1, 0, ())
    (undone,) = done.undone
    assert undone.startswith(f"make {name_of(first)}: ")
    assert await receive(store, first, 1) is Receipt.KNOWN


@pytest.mark.parametrize("what", ["role", "port", "read_only"])
async def test_upkeep_that_cannot_be_done_says_why_and_is_no_error(
    store: PostgresStore, database_url: str, today: date, what: str
) -> None:
    plain = database_url.replace("+psycopg", "")
    hindered, why = {
        "role": (make_conninfo(plain, options="-c role=pg_monitor"), "permission denied|must be owner"),
        "port": (make_conninfo(plain, port="1"), "refused"),
        "read_only": (make_conninfo(plain, options="-c default_transaction_read_only=on"), "read-only transaction"),
    }[what]
    execute(database_url, f"DROP TABLE {name_of(today + timedelta(1))}", f"DROP TABLE {name_of(today + timedelta(2))}")
    other = store_of(database_url, hindered)

    done = await other.maintain()

    assert (done.made, done.ahead) == (0, 0)
    (undone,) = done.undone
    assert re.search(why, undone), undone
    await other.close()
    assert (await store.maintain()).ahead == AHEAD_DAYS


async def test_several_processes_look_after_the_days_at_once(database_url: str) -> None:
    stores = [store_of(database_url) for _ in range(4)]
    done = await asyncio.gather(*(store.maintain() for store in stores))
    assert {(one.ahead, one.undone) for one in done} == {(AHEAD_DAYS, ())}
    assert len(days(database_url)) == RETENTION + 1 + AHEAD_DAYS
    await asyncio.gather(*(store.close() for store in stores))


async def test_without_any_day_orders_wait(database_url: str) -> None:
    empty = store_of(database_url)
    with pytest.raises(Transient, match="no partitions") as raised:
        await insert(empty)
    assert not isinstance(raised.value, Contended)
    await empty.maintain()
    await insert(empty)
    await empty.close()

"""What the server says decides what is done: run again, wait, take less, or blame the message. All by real errors."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from domain.errors import Busy, Contended, DownForEverybody, Permanent, TooMuch, Unfit, Violated
from domain.ids import OrderId
from domain.ports.store import Change, Changes
from domain.values import replace
from outbox.driver.connections import Connections, check_writable
from outbox.schema.mapping import BLOCK
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.eventually import eventually
from tests.outbox.migrated import database_template, store, taking
from tests.outbox.test_memory import ID, execute, numbers, write

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

PREPARED = "SELECT * FROM stock"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def run(store: PostgresStore, *statements: str) -> list[Any]:
    """Run a transaction; return the rows of its last statement."""
    async with store.transaction() as transaction:
        await transaction.load([])
        for statement in statements[:-1]:
            await transaction.execute(statement)
        return await transaction.query(statements[-1])


def ask(database_url: str, query: str) -> Any:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def others(database_url: str) -> int:
    return int(ask(database_url, SESSIONS))


@contextmanager
def database_setting(database_url: str, name: str, value: str) -> Iterator[None]:
    """Have new sessions of this database begin so."""
    database = database_url.rsplit("/", 1)[1]
    execute(database_url, f"ALTER DATABASE {database} SET {name} = {value}")
    yield
    execute(database_url, "SET default_transaction_read_only = off", f"ALTER DATABASE {database} RESET {name}")


async def end_sessions(store: PostgresStore, database_url: str) -> None:
    """End what the store has open, and have it learn that."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    execute(database_url, f"{end} AND pid <> pg_backend_pid()")
    with pytest.raises(DownForEverybody):
        await run(store, "SELECT 1")


async def test_a_server_that_is_read_only_is_waited_for(store: PostgresStore, database_url: str) -> None:
    await end_sessions(store, database_url)
    with database_setting(database_url, "default_transaction_read_only", "on"):
        for _ in range(2):
            with pytest.raises(DownForEverybody, match="read-only transaction"):
                await run(store, "SELECT 1")
            with pytest.raises(DownForEverybody, match="read-only transaction"):
                await store.claim_due(1, 60)
    await write(store)


async def test_a_transaction_that_takes_too_long_is_to_be_made_smaller(store: PostgresStore, database_url: str) -> None:
    await end_sessions(store, database_url)
    limit = database_setting(database_url, "transaction_timeout", "300")
    with limit, pytest.raises(TooMuch, match="transaction timeout"):
        await run(store, "SELECT pg_sleep(20)")
    with pytest.raises(TooMuch, match="statement timeout"):
        await run(store, "SET LOCAL statement_timeout = 100", "SELECT pg_sleep(20)")
    assert await run(store, "SELECT 1") == [(1,)]


async def test_a_statement_without_end_is_ended(store: PostgresStore) -> None:
    ((timeout, lock_timeout),) = await run(
        store, "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    )
    assert (timeout, lock_timeout) == ("1min", "5s")


async def test_a_session_that_ended_because_we_stood_still_is_an_outage(
    store: PostgresStore, database_url: str
) -> None:
    with pytest.raises(DownForEverybody, match="idle-in-transaction"):
        await stand_still(store, database_url)
    assert await run(store, "SELECT 1") == [(1,)]


async def stand_still(store: PostgresStore, database_url: str) -> None:
    # Amid a pipeline no session counts as idle.
    async with taking(store, few=False).transaction() as transaction:
        await transaction.load([])
        ((pid,),) = await transaction.query("SELECT pg_backend_pid()")
        await transaction.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
        alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
        eventually(lambda: ask(database_url, alive) == 0, "the server has ended the session")
        await transaction.query("SELECT 1")


async def test_a_lock_that_is_held_for_long_is_waited_for_and_no_lost_race(
    store: PostgresStore, database_url: str
) -> None:
    await write(store)
    with psycopg.connect(database_url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT FROM orders FOR UPDATE")
        with pytest.raises(Busy, match="busy") as raised:
            await run(store, "SET LOCAL lock_timeout = 50", "SELECT order_id FROM orders FOR UPDATE")
    assert type(raised.value) is Busy


async def test_after_a_migration_the_plans_of_before_are_no_bug(store: PostgresStore, database_url: str) -> None:
    for _ in range(3):
        await run(store, PREPARED)
    execute(database_url, "ALTER TABLE stock ADD COLUMN shelf text")

    with pytest.raises(Contended, match="cached plan"):
        await run(store, PREPARED)

    assert await run(store, PREPARED) == []


async def test_prepared_statements_that_the_server_has_lost_are_made_no_more(store: PostgresStore) -> None:
    for _ in range(3):
        await run(store, PREPARED)
    lose = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"
    async with store.transaction() as transaction:
        await transaction.execute(lose)

    with pytest.raises(Contended, match="does not exist"):
        await run(store, PREPARED)

    for _ in range(3):
        await run(store, PREPARED)
    async with store.transaction() as transaction:
        await transaction.execute(lose)
    assert await run(store, PREPARED) == []
    # What the session lacks now, each transaction brings along.
    assert await run(store, "SELECT current_setting('enable_seqscan'), current_setting('lock_timeout')") == [
        ("off", "5s")
    ]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO stock SELECT string_agg(gen_random_uuid()::text, ''), 0, 0, 0 FROM generate_series(1, 400)",
         Permanent),
        ("INSERT INTO stock VALUES ('tea', 9223372036854775808, 0, 0)", Permanent),
        ("SELECT nothing FROM nowhere", Unfit),
    ],
)  # fmt: skip
async def test_what_the_server_cannot_take_is_a_messages_fault_or_the_releases(
    store: PostgresStore, statement: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await run(store, statement, "SELECT 1")
    assert await run(store, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("contended", [False, True])
async def test_a_check_that_fails_may_be_a_lost_race_or_wrong_work(store: PostgresStore, *, contended: bool) -> None:
    with pytest.raises(Violated, match="stock_available_check"):
        await oversell(store, contended=contended)


async def oversell(store: PostgresStore, *, contended: bool) -> None:
    async with store.transaction(contended=contended) as transaction:
        await transaction.execute("INSERT INTO stock VALUES ('tea', -1, 0, 0)")


async def test_a_missing_permission_is_waited_for(store: PostgresStore, database_url: str) -> None:
    with pytest.raises(DownForEverybody, match="permission denied"):
        await run(store, "SET LOCAL ROLE pg_monitor", "SELECT order_id FROM orders")


async def test_an_outage_ends_every_connection_lent_or_not(store: PostgresStore, database_url: str) -> None:
    await asyncio.gather(*[run(store, "SELECT pg_sleep(0.2)") for _ in range(3)])
    assert others(database_url) == 3
    async with store.transaction() as lent:
        ((pid,),) = await lent.query("SELECT pg_backend_pid()")
        await run(store, "SELECT 1")
        with pytest.raises(DownForEverybody):
            await run(store, "SELECT pg_terminate_backend(pg_backend_pid())")
        eventually(lambda: others(database_url) == 1, "only the one that is lent is left")
        await lent.load([])
    eventually(lambda: others(database_url) == 0, f"the one that was lent is gone, too: {pid}")


async def test_what_an_older_transaction_learns_after_an_outage_is_not_believed(
    store: PostgresStore, database_url: str
) -> None:
    await write(store)
    async with store.transaction() as older:
        order = (await older.load([ID]))[ID]
        with pytest.raises(DownForEverybody):
            await run(store, "SELECT pg_terminate_backend(pg_backend_pid())")
        changed = replace(order, resends=3)
        await older.save(Changes(orders=[Change(order, changed)]))
    async with store.transaction() as newer:
        read = (await newer.load([ID]))[ID]
    assert read == changed
    assert read is not changed, "it was read, not remembered"
    await write(store, OrderId("order-2"))
    first, second = numbers(database_url)
    assert second == first + BLOCK


async def test_a_transaction_that_does_not_end_is_an_outage(store: PostgresStore, database_url: str) -> None:
    quick = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1, answer_max_s=0.3), Codec().encode)
    with pytest.raises(DownForEverybody, match="has not answered for"):
        await run(quick, "SELECT pg_sleep(60)")
    assert await run(quick, "SELECT 1") == [(1,)]
    await quick.close()


async def test_a_time_out_of_ours_within_a_transaction_is_no_outage(store: PostgresStore) -> None:
    with pytest.raises(TimeoutError):
        await give_up_early(store)


async def give_up_early(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        await transaction.load([])
        raise TimeoutError


async def test_whether_a_server_takes_writes_is_known_without_asking(database_url: str) -> None:
    conninfo = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await check_writable(connection)
        await connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(DownForEverybody, match="read only"):
            await check_writable(connection)


@pytest.mark.parametrize("steps", range(4))
async def test_a_transaction_that_is_cancelled_twice_leaves_no_connection_behind(database_url: str, steps: int) -> None:
    connections = Connections(database_url.replace("+psycopg", ""), 1)
    lent: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()

    async def work() -> None:
        async with connections.lend() as connection:
            await connection.execute("SELECT 1")
            lent.put_nowait(connection)
            await asyncio.Event().wait()

    working = asyncio.ensure_future(work())
    connection = await lent.get()
    working.cancel()
    for _ in range(steps):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    await connections.close()
    assert connection.closed

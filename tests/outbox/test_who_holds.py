"""Who holds tables and rows is seen without waiting, by a user that may do no more than a consumer must."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest

from domain.errors import Busy
from domain.ids import OrderId
from domain.ports.locks import Holder, Locks
from outbox.driver.connections import Connections
from outbox.operators.stock import set_available
from outbox.schema.privileges import Process
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.consumers.roles import limited_user
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.migrated import database_template, store, taking
from tests.outbox.test_memory import execute, write
from tests.outbox.test_server_errors import run

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

IDS = [OrderId(name) for name in ("order-1", "order-2", "order-3")]
PSQL = "an operator's psql"


@pytest.fixture
async def consumer(store: PostgresStore, database_url: str) -> AsyncIterator[PostgresStore]:
    """Three orders for SKU-1 and SKU-2, and the store of a consumer."""
    for order_id in IDS:
        await write(store, order_id)
    execute(database_url, "INSERT INTO stock VALUES ('SKU-1', 10, 0, 0), ('SKU-2', 10, 0, 0), ('SKU-3', 10, 0, 0)")
    with limited_user(database_url.replace("+psycopg", ""), Process.ENGINE) as user:
        made = PostgresStore(Connections(user, 3), Codec().encode)
        yield made
        await made.close()


@contextmanager
def holding(database_url: str, statement: str) -> Iterator[Holder]:
    with psycopg.connect(database_url.replace("+psycopg", ""), application_name=PSQL) as connection:
        connection.execute(statement.encode())
        yield Holder(connection.info.backend_pid, connection.info.user, PSQL)
        connection.rollback()


async def test_when_nobody_holds_anything_nothing_is_found_and_nothing_is_kept(
    consumer: PostgresStore, database_url: str
) -> None:
    assert await consumer.locks(IDS) == Locks()
    execute(database_url, "SET lock_timeout = 100", "UPDATE orders SET resends = 1", "UPDATE stock SET sold = 1")


@pytest.mark.parametrize(
    ("statement", "table", "key", "needed_by"),
    [
        ("SELECT FROM orders WHERE order_id = 'order-2' FOR UPDATE", "orders", "order-2", IDS[1:2]),
        ("SELECT FROM orders WHERE order_id = 'order-2' FOR SHARE", "orders", "order-2", IDS[1:2]),
        ("UPDATE orders SET resends = 1 WHERE order_id = 'order-2'", "orders", "order-2", IDS[1:2]),
        ("DELETE FROM operation WHERE order_id = 'order-2'", "operation", "order-2", IDS[1:2]),
        ("UPDATE attempt SET token = 'x' WHERE order_id = 'order-2'", "attempt", "order-2", IDS[1:2]),
        ("UPDATE stock SET available = 9 WHERE sku = 'SKU-1'", "stock", "SKU-1", IDS),
    ],
)
async def test_a_row_is_told_with_its_holder_and_who_needs_it(
    consumer: PostgresStore, database_url: str, statement: str, table: str, key: str, needed_by: list[OrderId]
) -> None:
    with holding(database_url, statement) as holder:
        found = await consumer.locks(IDS)
        (row,) = found.rows
        assert (found.tables, row.table, row.key, row.needed_by) == ((), table, key, frozenset(needed_by))
        # It is a superuser's session: what it does and since when is not for us to see.
        assert row.holder == holder
        assert (await consumer.locks(IDS)).rows == found.rows, "the same transaction"
    assert await consumer.locks(IDS) == Locks()


async def test_rows_that_these_orders_do_not_need_are_not_told(consumer: PostgresStore, database_url: str) -> None:
    with holding(database_url, "UPDATE stock SET available = 9 WHERE sku = 'SKU-3'"):
        assert await consumer.locks(IDS) == Locks()
    with holding(database_url, "UPDATE orders SET resends = 1 WHERE order_id = 'order-3'"):
        assert await consumer.locks(IDS[:2]) == Locks()


async def test_of_several_who_share_a_row_one_is_told(consumer: PostgresStore, database_url: str) -> None:
    share = "SELECT FROM orders WHERE order_id = 'order-2' FOR SHARE"
    with holding(database_url, share) as one, holding(database_url, share) as other:
        (row,) = (await consumer.locks(IDS)).rows
        assert (row.key, row.shared) == ("order-2", True)
        assert row.holder in {one, other}
        with holding(database_url, share):
            (later,) = (await consumer.locks(IDS)).rows
    assert later.lasts(row)


async def test_whose_transaction_has_the_number_of_a_multixact_is_not_told_for_it(
    consumer: PostgresStore, database_url: str
) -> None:
    share = "SELECT FROM orders WHERE order_id = 'order-2' FOR SHARE"
    number = "SELECT xmax::text::int FROM orders WHERE order_id = 'order-2'"
    url = database_url.replace("+psycopg", "")
    with (
        holding(database_url, "SELECT pg_current_xact_id()") as innocent,
        holding(database_url, share),
        psycopg.connect(url, autocommit=True) as asking,
        psycopg.connect(url) as other,
    ):
        xid = asking.execute("SELECT transactionid::text::int FROM pg_locks WHERE pid = %s", [innocent.pid])
        taken = next(row[0] for row in xid.fetchall() if row[0] is not None)
        now = (0,)
        while now[0] < taken:
            other.rollback()
            other.execute(share)
            now = asking.execute(number.encode()).fetchone() or now
        assert now[0] == taken
        (row,) = (await consumer.locks(IDS)).rows
        assert (row.key, row.shared, row.holder) == ("order-2", True, None)


@pytest.mark.parametrize(
    ("table", "mode"),
    [("orders", "ACCESS EXCLUSIVE"), ("event", "SHARE"), ("inbox", "EXCLUSIVE"), ("operation", "SHARE ROW EXCLUSIVE")],
)
async def test_a_table_is_told_with_its_holder(
    consumer: PostgresStore, database_url: str, table: str, mode: str
) -> None:
    with holding(database_url, f"LOCK TABLE {table} IN {mode} MODE") as holder:
        found = await consumer.locks(IDS)
        assert (found.rows, found.blind) == ((), table == "orders"), "a weaker mode does not keep us from seeing rows"
        told = {(lock.table, lock.mode, lock.holder) for lock in found.tables}
        assert (table, mode.title().replace(" ", "") + "Lock", holder) in told


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ("SELECT FROM stock WHERE sku = 'SKU-1' FOR UPDATE", "a row of stock: holder_pid {pid}, "),
        ("UPDATE stock SET sold = 1 WHERE sku = 'SKU-1'", "a row of stock: holder_pid {pid}, "),
        ("INSERT INTO stock VALUES ('NEW', 1, 0, 0)", "a row: remedy the session is unknown"),
    ],
)
async def test_an_operator_who_waits_in_vain_for_a_row_is_told_by_whom_it_is_held(
    consumer: PostgresStore, store: PostgresStore, database_url: str, held: str, told: str
) -> None:
    with holding(database_url, held) as holder:
        await store.locks(IDS)  # so that it waits for half a second only
        with pytest.raises(Busy) as caught:
            async with store.transaction() as transaction:
                await set_available(transaction, "NEW" if "NEW" in held else "SKU-1", 7, "ann")
        named = await store.with_holder(caught.value)
    assert f"another session holds {told.format(pid=holder.pid)}" in str(named)


async def test_an_operator_who_waits_for_an_order_is_told_by_whom_it_is_held(
    consumer: PostgresStore, database_url: str
) -> None:
    with holding(database_url, "SELECT FROM orders WHERE order_id = 'order-2' FOR UPDATE") as holder:
        await consumer.locks(IDS)
        with pytest.raises(Busy) as caught:
            async with consumer.transaction() as transaction:
                await transaction.load(IDS)
        named = await consumer.with_holder(caught.value)
    assert f"another session holds a row of orders: holder_pid {holder.pid}, " in str(named)
    assert f"remedy SELECT pg_terminate_backend({holder.pid})" in str(named)


async def test_a_table_that_is_held_hides_no_rows_of_others(consumer: PostgresStore, database_url: str) -> None:
    held = "SELECT FROM orders WHERE order_id = 'order-2' FOR UPDATE"
    share = "LOCK TABLE dead_letter IN SHARE MODE"
    with holding(database_url, share) as table, holding(database_url, held) as holder:
        found = await consumer.locks(IDS)
    assert [(lock.table, lock.holder) for lock in found.tables] == [("dead_letter", table)]
    assert [(row.key, row.holder) for row in found.rows] == [("order-2", holder)]


async def test_whoever_waits_for_a_table_holds_up_those_behind(consumer: PostgresStore, database_url: str) -> None:
    asking = await psycopg.AsyncConnection.connect(database_url.replace("+psycopg", ""), application_name="ALTER")
    async with asking, _reading(database_url) as reader:
        pending = asking.cursor()
        asking.pgconn.send_query(b"BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        await until_it_blocks_somebody(reader)
        (lock,) = (await consumer.locks(IDS)).tables
        assert (lock.table, lock.holder.pid) == ("orders", asking.info.backend_pid)
        await pending.close()
        asking.pgconn.finish()


@asynccontextmanager
async def _reading(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, application_name="pg_dump") as connection:
        await connection.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
        yield connection
        await connection.rollback()


async def test_once_a_row_is_known_to_be_held_transactions_wait_for_half_a_second(
    consumer: PostgresStore, database_url: str
) -> None:
    asked = "SELECT current_setting('lock_timeout')"
    assert await run(consumer, asked) == [("5s",)]
    with holding(database_url, "SELECT FROM orders FOR UPDATE"):
        await consumer.locks(IDS)
        for few in (False, True):
            with pytest.raises(Busy):
                async with taking(consumer, few=few).transaction() as transaction:
                    await transaction.load(IDS)
    assert await run(consumer, asked) == [("500ms",)]


async def test_a_table_is_waited_for_in_its_queue(consumer: PostgresStore, database_url: str) -> None:
    with holding(database_url, "LOCK TABLE stock IN ACCESS EXCLUSIVE MODE"):
        assert (await consumer.locks(IDS)).tables
        assert await run(consumer, "SELECT current_setting('lock_timeout')") == [("5s",)]

"""Orders that stand still are found however old they are, and the search costs little however many there are."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.ids import OrderId
from domain.order import Order, Status
from domain.ports.store import Change, Changes
from domain.values import replace
from outbox.driver.connections import Connections
from outbox.driver.session import Session
from outbox.store import PostgresStore
from outbox.store.searching import MARK, MARK_BEHIND, PAGE, StuckSearch
from schemas.codec import Codec
from tests.eventually import EVENTUALLY_S
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

UNCHANGED_S = 900
LIMIT = 500
MANY = 500_000
DENSE = 60_000
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
_ORDERS = """
    INSERT INTO orders (order_id, status, version, attempt, customer_id, correlation_id, currency, total_minor, lines,
                        content_hash, retryable, delay_notified, resends, created_at, updated_at, order_number)
    SELECT %(name)s || n, %(status)s, 1, 1, 'customer-1', 'correlation', 'EUR', 3080, '[["SKU-1", 2], ["SKU-2", 1]]',
           sha256(n::text::bytea), false, false, 0, now() - %(age)s + n * %(apart)s, now() - least(%(age)s, '1 h'),
           n + %(number)s
      FROM generate_series(1, %(count)s) n"""
_ATTEMPTS = """
    INSERT INTO attempt (order_id, attempt, method_kind, authorized_minor, captured_minor, refunded_minor, voided,
                         livemode, order_number)
    SELECT order_id, 1, 'CARD', 0, 0, 0, false, false, order_number FROM orders
     WHERE NOT EXISTS (SELECT FROM attempt a WHERE a.order_number = orders.order_number)"""


class Database:
    """The database, by hand."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._numbers = 10**9

    async def orders(self, name: str, status: str, age: str, count: int = 1, apart: str = "0") -> None:
        """Insert orders that were created so long ago, each so much later than the one before."""
        values = {"name": name, "status": status, "age": timedelta_of(age), "apart": timedelta_of(apart)}
        await self._connection.execute(_ORDERS, {**values, "count": count, "number": self._numbers})
        await self._connection.execute(_ATTEMPTS)
        self._numbers += count

    async def mark_age(self) -> timedelta:
        """Return how far the mark is behind the clock."""
        ((age,),) = await self.rows(f"SELECT now() - at FROM low_water WHERE name = '{MARK}'")
        assert isinstance(age, timedelta)
        return age

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        cursor = await self._connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


def timedelta_of(text: str) -> timedelta:
    number, _, unit = text.partition(" ")
    return timedelta(**{unit or "days": float(number)})


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield Database(connection)


async def search(store: PostgresStore) -> list[OrderId]:
    return sorted(await store.stuck_orders(UNCHANGED_S, LIMIT))


@pytest.mark.parametrize("age", ["16 minutes", "4 days", "4000 days"])
async def test_an_order_that_stands_still_is_found_however_old_it_is(
    store: PostgresStore, database: Database, age: str
) -> None:
    await database.orders("done-", "paid_and_confirmed", age, count=50)
    await database.orders("still-", "payment_authorized", age)
    await database.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    assert await search(store) == ["still-1"]
    assert await search(store) == ["still-1"], "it is found again until somebody takes it up"


async def test_the_mark_stands_at_the_oldest_order_that_is_not_final_and_moves_up_behind_it(
    store: PostgresStore, database: Database
) -> None:
    await database.orders("done-", "paid_and_confirmed", "30 days", count=100, apart="4 hours")
    await database.orders("old-", "items_reserved", "20 days")
    await database.orders("young-", "items_reserved", "10 days")
    assert await search(store) == ["old-1", "young-1"]
    assert timedelta(days=20) <= await database.mark_age() < timedelta(days=20, minutes=1)
    await database.rows("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'old-1'")
    assert await search(store) == ["young-1"]
    await database.rows("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'young-1'")
    assert await search(store) == await search(store) == []
    assert MARK_BEHIND <= await database.mark_age() < MARK_BEHIND + timedelta(minutes=1)


async def test_an_old_order_that_leaves_its_final_status_takes_the_mark_back(
    store: PostgresStore, database: Database
) -> None:
    await database.orders("order-", "payment_failed", "10 days")
    await search(store)
    assert await database.mark_age() < timedelta(hours=1)
    await change(store, "order-1", Status.CONFIRMED)
    assert timedelta(days=10) <= await database.mark_age() < timedelta(days=11)
    await database.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    assert await search(store) == ["order-1"]


async def test_a_search_that_moves_the_mark_sees_an_order_that_is_about_to_leave_its_final_status(
    store: PostgresStore, database: Database, database_url: str
) -> None:
    await database.orders("order-", "payment_failed", "10 days")
    await database.rows(f"INSERT INTO low_water VALUES ('{MARK}', now() - interval '20 days')")
    ready, go_on = asyncio.Event(), asyncio.Event()
    leaving = asyncio.ensure_future(change(store, "order-1", Status.CONFIRMED, ready, go_on))
    await ready.wait()
    other = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1), Codec().encode)
    searching = asyncio.ensure_future(search(other))
    await until(database, WAITING)
    go_on.set()
    await leaving
    await searching
    await other.close()
    assert timedelta(days=10) <= await database.mark_age() < timedelta(days=11)


async def test_a_slice_that_takes_too_long_holds_no_lock_and_comes_again_with_the_next_turn(
    store: PostgresStore, database: Database, database_url: str
) -> None:
    await database.orders("done-", "paid_and_confirmed", "20 days", count=10)
    await database.orders("still-", "confirmed", "10 days")
    await search(store)
    await database.rows(f"UPDATE low_water SET at = now() - interval '20 days' WHERE name = '{MARK}'")
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as holder:
        # Whatever reads the table is as slow as can be.
        await holder.execute("LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE")
        with capture_logs() as log:
            searching = asyncio.ensure_future(search(store))
            await until(database, WAITING)
            await database.rows("SET lock_timeout = '200ms'")
            await database.rows(f"UPDATE low_water SET at = at WHERE name = '{MARK}'")
            assert not searching.done(), "the mark was written while the search waited"
            async with asyncio.timeout(EVENTUALLY_S):
                assert await searching == []
    assert any("took too long" in line["event"] for line in log)
    assert await search(store) == ["still-1"]


async def test_behind_a_quiet_time_a_dense_one_is_gone_through(
    store: PostgresStore, database: Database, database_url: str
) -> None:
    await database.orders("old-", "items_reserved", "3000 days")
    await database.orders("done-", "paid_and_confirmed", "20 days", count=DENSE, apart=f"{86_400 / DENSE} seconds")
    await database.orders("still-", "confirmed", "19.5 days")
    url = database_url.replace("+psycopg", "")
    async with await Session.connect(url, autocommit=False) as connection:
        await connection.execute("SET enable_seqscan = off")
        await connection.commit()
        looking = StuckSearch(limit_s=0.004)
        found: set[OrderId] = set()
        with capture_logs() as log:
            async with asyncio.timeout(60):
                while found != {"old-1", "still-1"}:
                    found |= set(await looking.turn(connection, UNCHANGED_S, LIMIT))
    assert any("took too long" in line["event"] for line in log)


async def until(database: Database, query: str) -> None:
    async with asyncio.timeout(EVENTUALLY_S):
        while not await database.rows(query):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)


async def change(
    store: PostgresStore,
    order_id: str,
    status: Status,
    ready: asyncio.Event | None = None,
    go_on: asyncio.Event | None = None,
) -> None:
    """Change an order's status as the pipeline does; wait before the commit if asked to."""
    async with store.transaction() as transaction:
        found: Order = (await transaction.load([OrderId(order_id)]))[OrderId(order_id)]
        await transaction.save(Changes(orders=[Change(found, replace(found, status=status))]))
        if ready is not None and go_on is not None:
            await transaction.finish()
            await transaction.plain()
            ready.set()
            await go_on.wait()


async def test_a_mark_that_stands_wrongly_is_moved_back_at_the_start_of_the_next_search(
    store: PostgresStore, database: Database, database_url: str
) -> None:
    await database.orders("order-", "items_reserved", "10 days")
    await database.rows(f"INSERT INTO low_water VALUES ('{MARK}', now() - interval '1 day')")
    assert await search(store) == ["order-1"]
    assert await database.mark_age() > timedelta(days=9)


async def test_orders_of_one_moment_are_found_page_by_page(store: PostgresStore, database: Database) -> None:
    await database.orders("busy-", "confirmed", "5 days", count=2 * PAGE)
    await database.rows("UPDATE orders SET updated_at = now()")
    await database.orders("still-", "confirmed", "5 days", count=3)
    found: set[OrderId] = set()
    for _ in range(5):
        found |= set(await search(store))
    assert found == {"still-1", "still-2", "still-3"}


async def test_no_more_are_given_than_asked_for_and_the_others_come_next(
    store: PostgresStore, database: Database
) -> None:
    await database.orders("still-", "confirmed", "5 days", count=7)
    assert len(await store.stuck_orders(UNCHANGED_S, 5)) == 5
    await database.rows("UPDATE orders SET status = 'manual_review' WHERE order_id <= 'still-5'")
    assert await search(store) == ["still-6", "still-7"]


@pytest.mark.parametrize(("state", "found"), [("open", []), ("approved", ["order-1"])])
async def test_an_order_on_which_somebody_works_does_not_stand_still(
    store: PostgresStore, database: Database, state: str, found: list[str]
) -> None:
    await database.orders("order-", "confirmed", "5 days")
    await database.rows(
        f"""INSERT INTO operation (order_id, attempt, kind, try_number, operation_id, state, reaction, amount_minor,
                                   currency, tries, opened_at, replayed, order_number, for_request)
            SELECT order_id, 1, 'authorize', 1, gen_random_uuid(), '{state}', 'authorize_payment', 1, 'EUR', 1, now(),
                   false, order_number, '' FROM orders"""
    )
    assert await search(store) == found


@pytest.mark.long
async def test_the_search_over_half_a_million_orders_costs_little(
    store: PostgresStore, database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.orders("done-", "paid_and_confirmed", "23 hours", count=MANY, apart="0.16 seconds")
    await database.orders("old-", "items_reserved", "23 hours")
    for upkeep in ("", "VACUUM ANALYZE orders"):
        if upkeep:
            await database.rows(upkeep)
        other = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1), Codec().encode)
        took: list[float] = []
        found: set[OrderId] = set()
        while len(took) < 20:
            begun = time.monotonic()
            found |= set(await other.stuck_orders(UNCHANGED_S, LIMIT))
            took.append(time.monotonic() - begun)
        await other.close()
        with capsys.disabled():
            sys.stdout.write(f"\nturns in s ({upkeep or 'as written'}): {[round(t, 3) for t in took]}\n")
        assert found == {"old-1"}
        assert max(took) < 2, "a turn a minute"
    assert await database.mark_age() > timedelta(hours=22)
    await database.rows("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'old-1'")
    turns = 0
    while await database.mark_age() > timedelta(hours=1):
        await search(store)
        turns += 1
        assert turns < 10, "minutes"


async def test_the_mark_never_comes_near_the_clock_whatever_is_unfinished(
    store: PostgresStore, database: Database
) -> None:
    await database.orders("done-", "payment_failed", "50 minutes", count=10)
    await database.orders("fresh-", "items_reserved", "1 minutes", count=10)
    await search(store)
    await search(store)
    assert await database.mark_age() >= MARK_BEHIND

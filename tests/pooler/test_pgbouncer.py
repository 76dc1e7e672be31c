"""Behind PgBouncer in transaction mode everything works, or the start says in one line what to set."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from psycopg import sql

from domain.errors import Contended, DownForEverybody
from outbox.driver.connections import Connections
from outbox.driver.pooler import Pooling, pooling_of
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import APART, Deployment
from tests.e2e.script import write_script
from tests.eventually import eventually
from tests.outbox.test_memory import load, write
from tests.outbox.test_server_errors import run
from tests.pooler.pgbouncer import SESSIONS, PgBouncer

pytestmark = [pytest.mark.pooler, pytest.mark.timeout(300)]

ASKS = "SELECT current_setting('enable_seqscan'), current_setting('lock_timeout'), current_setting('timezone')"
SERVER_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'payments' AND pid <> pg_backend_pid()"""
END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'payments' AND pid <> pg_backend_pid()"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
NEEDED = "leads through a pooler that shares sessions, and {who} needs one of its own: set PAYMENTS_DATABASE_DIRECT_URL"


@pytest.fixture
async def open_store() -> AsyncIterator[Callable[[str], PostgresStore]]:
    opened: list[PostgresStore] = []

    def make(url: str) -> PostgresStore:
        opened.append(PostgresStore(Connections(url, 6), Codec().encode))
        return opened[-1]

    yield make
    for store in opened:
        await store.close()


def test_all_orders_end_as_they_must(shop: Deployment, transactions: PgBouncer) -> None:
    shop.settings["PAYMENTS_DATABASE_URL"] = transactions.in_front_of(shop.database_url)
    shop.settings["PAYMENTS_DATABASE_DIRECT_URL"] = shop.database_url
    orders = write_script(400, seed=21)
    shop.start(*APART)
    shop.publish(orders[:300])
    shop.await_settled(50)
    assert shop.number(SERVER_SESSIONS) <= SESSIONS, "the processes share sessions"
    # One by one, in few round trips, as in quiet hours.
    for order in orders[300:310]:
        shop.publish([order])
    shop.publish(orders[310:])
    check_as_scripted(shop)
    assert "behind a pooler" in shop.processes["authorize"].log
    shop.stop()


def test_commands_work_through_a_pooler_alone(shop: Deployment, transactions: PgBouncer) -> None:
    shop.settings["PAYMENTS_DATABASE_URL"] = transactions.in_front_of(shop.database_url)
    for command in (
        ("migrate",),
        ("stock", "set", "tea", "5"),
        ("stock", "show", "tea"),
        ("order", "list"),
        ("sweep", "--once"),
        ("audit",),
    ):
        process = shop.begin(" ".join(command), command)
        assert process.wait() == 0, process.log


@pytest.mark.parametrize(
    ("command", "who"),
    [
        (("relay",), "the relay"),
        (("relay", "--once"), "the relay"),
        (("up",), "the relay"),
        (("audit", "--topics"), "an audit of the topics"),
    ],
)
def test_what_needs_a_session_of_its_own_says_what_to_set(
    shop: Deployment, transactions: PgBouncer, command: tuple[str, ...], who: str
) -> None:
    pooled = transactions.in_front_of(shop.database_url)
    process = shop.begin("refused", command, PAYMENTS_DATABASE_URL=pooled)
    assert process.wait() == 2
    last = process.log.splitlines()[-1]
    assert f"PAYMENTS_DATABASE_URL {NEEDED.format(who=who)}" in last
    again = shop.begin("refused", command, PAYMENTS_DATABASE_URL=shop.database_url, PAYMENTS_DATABASE_DIRECT_URL=pooled)
    assert again.wait() == 2
    assert "PAYMENTS_DATABASE_DIRECT_URL leads through a pooler" in again.log.splitlines()[-1]


def test_a_pooler_that_shares_no_sessions_is_as_good_as_none(shop: Deployment, sessions: PgBouncer) -> None:
    shop.settings["PAYMENTS_DATABASE_URL"] = sessions.in_front_of(shop.database_url)
    shop.start(*APART)
    shop.publish(write_script(50, seed=22))
    check_as_scripted(shop)
    shop.stop()


async def test_the_kind_of_pooler_is_found_out(shop: Deployment, transactions: PgBouncer, sessions: PgBouncer) -> None:
    url = shop.database_url
    for _ in range(5):
        assert await pooling_of(url) is Pooling.NONE
        assert await pooling_of(transactions.in_front_of(url)) is Pooling.TRANSACTION
        assert await pooling_of(sessions.in_front_of(url)) is Pooling.SESSION


async def test_each_transaction_brings_its_settings_along(
    shop: Deployment, transactions: PgBouncer, open_store: Callable[[str], PostgresStore]
) -> None:
    store = open_store(transactions.in_front_of(shop.database_url))
    found = await asyncio.gather(*(run(store, ASKS) for _ in range(12)))
    assert found == [[("off", "5s", "UTC")]] * 12
    order = await write(store)
    assert await load(store) == order
    # Nothing of it stays behind in a session that others use.
    ((seqscan,),) = await asyncio.to_thread(shop.rows, "SELECT current_setting('enable_seqscan')")
    assert seqscan == "on"


async def test_the_search_for_stuck_orders_brings_its_settings_along(
    shop: Deployment, transactions: PgBouncer, open_store: Callable[[str], PostgresStore]
) -> None:
    store = open_store(transactions.in_front_of(shop.database_url))
    await store.stuck_orders(60, 10)
    with psycopg.connect(shop.database_url.replace("+psycopg", ""), autocommit=True) as holder:
        # What the pooler's next sessions have, unless a transaction says otherwise.
        holder.execute(sql.SQL("ALTER DATABASE {} SET lock_timeout = '1ms'").format(sql.Identifier(holder.info.dbname)))
        holder.execute(END_SESSIONS)
        with holder.transaction(force_rollback=True):
            holder.execute("SELECT FROM low_water FOR UPDATE")
            searching = asyncio.ensure_future(store.stuck_orders(60, 10))
            await asyncio.to_thread(eventually, lambda: shop.number(WAITING) == 1, "the search waits for the lock")
        assert await searching == []


async def test_a_pooler_that_comes_between_is_an_outage_once(
    shop: Deployment, transactions: PgBouncer, open_store: Callable[[str], PostgresStore]
) -> None:
    store = open_store(transactions.in_front_of(shop.database_url))
    store._connections._pooled = False  # as before somebody put it there
    with pytest.raises(DownForEverybody, match="startup parameter"):
        await run(store, ASKS)
    assert await run(store, ASKS) == [("off", "5s", "UTC")]


async def test_a_pooler_that_comes_between_unnoticed_costs_some_races(
    shop: Deployment, ignoring: PgBouncer, open_store: Callable[[str], PostgresStore]
) -> None:
    store = open_store(ignoring.in_front_of(shop.database_url))
    store._connections._pooled = False  # as before somebody put it there
    lost: list[BaseException] = []
    while not lost:
        done = await asyncio.gather(*(run(store, ASKS) for _ in range(6)), return_exceptions=True)
        lost += [one for one in done if isinstance(one, BaseException)]
    assert {type(error) for error in lost} == {Contended}
    assert await asyncio.gather(*(run(store, ASKS) for _ in range(6))) == [[("off", "5s", "UTC")]] * 6

"""An order is recalled while its row is as this process wrote it, and nobody can have claimed an operation of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from domain.case import Case
from domain.decision import Decision
from domain.ids import OrderId
from domain.opening import authorize
from domain.order import Order, Status
from domain.ports.store import Change, Changes
from domain.rules import Context, Rules
from domain.values import replace
from outbox.schema.mapping import BLOCK
from outbox.store import PostgresStore
from outbox.store.memory import OrderMemory
from tests.eventually import EVENTUALLY_S
from tests.outbox.migrated import database_template, store
from tests.schemas.builders import order_confirmed

__all__ = ["database_template", "store"]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ID = OrderId("order-1")


def opened(at: datetime = NOW, lease_s: float = 60, order_id: OrderId = ID) -> Order:
    event = order_confirmed(order_id=order_id)
    decision: Decision = authorize(Case(None, Context(at, None, Rules(lease_s=lease_s)), "authorize_payment", event))  # type: ignore[arg-type]
    assert decision.order is not None
    return decision.order


def test_it_forgets_the_oldest_and_those_that_are_final() -> None:
    memory = OrderMemory(orders_max=2)
    names = [OrderId(name) for name in ("a", "b", "c", "paid", "failed")]
    orders = [replace(opened(), order_id=name) for name in names]
    ended = [
        replace(orders[3], status=Status.PAID_AND_CONFIRMED),
        replace(orders[4], status=Status.PAYMENT_FAILED),
    ]
    memory.keep([*orders[:3], *ended], b"1")

    recalled = [memory.recall(name, b"1", NOW) for name in names]

    assert recalled == [None, orders[1], orders[2], None, None]


def test_it_does_not_know_a_row_that_another_transaction_wrote() -> None:
    memory = OrderMemory()
    memory.keep([opened()], b"1")

    assert memory.recall(ID, b"2", NOW) is None
    assert memory.recall(ID, b"1", NOW) == opened()


def test_it_does_not_know_an_order_whose_operation_is_due() -> None:
    memory = OrderMemory()
    memory.keep([opened()], b"1")

    assert memory.recall(ID, b"1", NOW + timedelta(seconds=29)) is not None
    assert memory.recall(ID, b"1", NOW + timedelta(seconds=30)) is None


async def write(store: PostgresStore, order_id: OrderId = ID, *, lease_s: float = 60) -> Order:
    async with store.transaction() as transaction:
        assert await transaction.load([order_id]) == {}
        order = opened(transaction.now, lease_s, order_id)
        await transaction.save(Changes(orders=[Change(None, order)]))
    return order


async def load(store: PostgresStore) -> Order:
    async with store.transaction() as transaction:
        return (await transaction.load([ID]))[ID]


def numbers(database_url: str) -> list[int]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return [n for (n,) in connection.execute("SELECT order_number FROM orders ORDER BY order_id").fetchall()]


def execute(database_url: str, *statements: str) -> None:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.integration
async def test_an_order_that_was_written_is_recalled_and_not_read(store: PostgresStore, database_url: str) -> None:
    order = await write(store)
    assert await load(store) is await load(store)
    assert await load(store) == order


@pytest.mark.integration
async def test_an_order_that_somebody_else_changed_is_read(store: PostgresStore, database_url: str) -> None:
    await write(store)
    execute(database_url, "UPDATE attempt SET token = NULL", "UPDATE orders SET version = 7")

    order = await load(store)

    assert (order.version, order.current.token) == (7, None)


@pytest.mark.integration
async def test_a_change_that_the_lock_has_waited_for_is_seen(store: PostgresStore, database_url: str) -> None:
    await write(store)
    async with await psycopg.AsyncConnection.connect(database_url.replace("+psycopg", "")) as other:
        await other.execute("UPDATE orders SET version = 7")
        loading = asyncio.create_task(load(store))
        await until_waiting(database_url)
        await other.commit()
        order = await loading

    assert order.version == 7


async def until_waiting(database_url: str) -> None:
    """Wait until somebody waits for a lock of this database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(EVENTUALLY_S):
        async with await psycopg.AsyncConnection.connect(database_url.replace("+psycopg", ""), autocommit=True) as look:
            while (await (await look.execute(query)).fetchone()) == (0,):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)


@pytest.mark.integration
async def test_what_was_rolled_back_is_not_remembered(store: PostgresStore) -> None:
    order = await write(store)
    with pytest.raises(RuntimeError, match="no more"):
        await write_and_fail(store, order)

    assert await load(store) == order


async def write_and_fail(store: PostgresStore, order: Order) -> None:
    async with store.transaction() as transaction:
        changed = replace(order, resends=3)
        await transaction.save(Changes(orders=[Change(order, changed)]))
        raise RuntimeError("no more")


@pytest.mark.integration
async def test_a_lease_that_was_given_back_is_seen(store: PostgresStore) -> None:
    order = await write(store)
    (leased,) = order.operations
    await store.give_back([leased])

    (operation,) = (await load(store)).operations

    assert operation.due_at is not None
    assert leased.due_at is not None
    assert operation.due_at < leased.due_at


@pytest.mark.integration
async def test_a_claim_is_seen(store: PostgresStore) -> None:
    await write(store, lease_s=0)
    (claimed,) = await store.claim_due(10, 60)

    (operation,) = (await load(store)).operations

    assert operation == claimed.operation


@pytest.mark.integration
async def test_after_an_outage_everything_is_read(store: PostgresStore, database_url: str) -> None:
    await write(store)
    before = await load(store)
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    execute(database_url, f"{query} AND pid <> pg_backend_pid()")
    with pytest.raises(Exception, match=r"PostgreSQL|connection"):
        await load(store)

    after = await load(store)
    await write(store, OrderId("order-2"))

    assert after == before
    assert after is not before
    # What the sequence gave before may be given again by another server.
    first, second = numbers(database_url)
    assert second == first + BLOCK

"""Statements that are sent together, with the commit behind them: whichever fails, the right error is told."""

from collections.abc import AsyncIterator

import pytest

from domain.errors import Contended
from domain.ids import OrderId
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from outbox.store.transaction import PgTransaction
from outbox.store.wire import FEW_MAX
from schemas.codec import Codec
from tests.outbox.migrated import database_template, taking

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

TAKE = "UPDATE stock SET available = available - 1 WHERE sku = 'SKU-1'"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1), Codec().encode)
    await made.maintain()
    async with made.transaction() as transaction:
        await transaction.execute("INSERT INTO stock VALUES ('SKU-1', 1, 0, 0)")
    yield made
    await made.close()


async def fail_and_ask(store: PostgresStore, orders: int) -> AsyncIterator[str]:
    """Run a statement that fails, then a question; say how far it came."""
    async with store.transaction() as transaction:
        await transaction.load([OrderId(f"order-{n}") for n in range(orders)])
        yield "loaded"
        await take_last(transaction, 2)
        yield "failed"
        await transaction.query("SELECT 1")
        yield "asked"


@pytest.mark.parametrize(("orders", "last"), [(0, "failed"), (FEW_MAX, "failed"), (FEW_MAX + 1, "loaded")])
async def test_only_with_few_orders_a_statement_waits_for_the_next_question(
    store: PostgresStore, orders: int, last: str
) -> None:
    steps = fail_and_ask(store, orders)
    step = await anext(steps)
    while step != last:
        step = await anext(steps)

    with pytest.raises(Contended, match="stock_available_check"):
        await anext(steps)


async def take(store: PostgresStore, times: int, *, few: bool) -> None:
    async with taking(store, few=few).transaction() as transaction:
        await transaction.load([])
        transaction.at_end(lambda: take_last(transaction, times))


async def take_last(transaction: PgTransaction, times: int) -> None:
    for _ in range(times):
        await transaction.execute(TAKE)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("times", [2, 200])
async def test_a_race_that_is_lost_in_the_last_statement_is_told_as_such(
    store: PostgresStore,
    times: int,
    few: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    for _ in range(10):
        with pytest.raises(Contended, match="stock_available_check"):
            await take(store, times, few=few)


@pytest.mark.parametrize("few", [True, False])
async def test_after_a_lost_race_the_connection_is_as_good_as_new(
    store: PostgresStore,
    few: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    with pytest.raises(Contended):
        await take(store, 2, few=few)

    await take(store, 1, few=few)

    async with taking(store, few=few).transaction() as transaction:
        await transaction.load([])
        assert await transaction.query("SELECT available FROM stock") == [(0,)]

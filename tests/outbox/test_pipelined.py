"""Statements that are sent together, with the commit behind them: whichever fails, the right error is told."""

from collections.abc import AsyncIterator

import pytest

from domain.errors import Contended
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from outbox.store.transaction import PgTransaction
from schemas.codec import Codec
from tests.outbox.migrated import database_template

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


async def take(store: PostgresStore, times: int, *, few: bool) -> None:
    async with store.transaction(few=few) as transaction:
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

    async with store.transaction(few=few) as transaction:
        assert await transaction.query("SELECT available FROM stock") == [(0,)]

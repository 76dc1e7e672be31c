"""Changes that people make to the stock: all or none, each recorded, and never in the way of orders for long."""

import asyncio
from collections.abc import Callable

import pytest

from outbox.operators.stock import PORTION, StockChange, StockRefused, StockSet, change_stock
from outbox.store.postgres import PostgresStore
from schemas.fields import LONG_MAX
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]

pytestmark = pytest.mark.integration
STOCK = "SELECT sku, available, reserved, sold FROM stock ORDER BY sku"
RECORD = 'SELECT sku, delta, "by", reason FROM stock_adjustment ORDER BY id'


async def change(
    store: PostgresStore, *changes: StockChange, progress: Callable[[int], None] = lambda _: None
) -> list[StockSet]:
    async with store.transaction() as transaction:
        return await change_stock(transaction, changes, "ann", progress)


async def rows(store: PostgresStore, query: str) -> list[tuple[object, ...]]:
    async with store.transaction() as transaction:
        return await transaction.query(query)


async def test_many_changes_are_made_and_recorded_in_one_transaction(store: PostgresStore) -> None:
    await change(store, StockChange("tea", 10), StockChange("mug", 3))
    done = await change(
        store,
        StockChange("tea", -4, relative=True, reason="broken"),
        StockChange("pot", 2, relative=True),
        StockChange("mug", 3, reason="counted"),
    )
    assert done == [StockSet("tea", 6, 0, 0, -4), StockSet("pot", 2, 0, 0, 2), StockSet("mug", 3, 0, 0, 0)]
    assert await rows(store, STOCK) == [("mug", 3, 0, 0), ("pot", 2, 0, 0), ("tea", 6, 0, 0)]
    assert await rows(store, RECORD) == [
        ("mug", 3, "ann", None),
        ("tea", 10, "ann", None),
        ("pot", 2, "ann", None),
        ("tea", -4, "ann", "broken"),
    ]


async def test_if_one_is_impossible_all_that_are_are_named_and_none_is_made(store: PostgresStore) -> None:
    await change(store, StockChange("tea", 10), StockChange("mug", 3))
    before = await rows(store, STOCK), await rows(store, RECORD)
    with pytest.raises(StockRefused) as refused:
        await change(
            store,
            StockChange("mug", -4, relative=True),
            StockChange("tea", 1, relative=True),
            StockChange("pan", -1, relative=True),
            StockChange("new", 5),
        )
    assert refused.value.problems == {
        0: "SKU mug has 3 units available: 4 cannot be taken out",
        2: "there is no SKU pan: nothing can be taken out of it",
    }
    assert (await rows(store, STOCK), await rows(store, RECORD)) == before


async def test_units_that_no_column_can_hold_are_refused(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        await transaction.execute(
            "INSERT INTO stock (sku, available, reserved, sold) VALUES ('tea', 0, 7, %s)", [LONG_MAX - 12]
        )
    with pytest.raises(StockRefused, match="at most 5 can be available"):
        await change(store, StockChange("tea", 6, relative=True))
    assert await change(store, StockChange("tea", 5, relative=True)) == [StockSet("tea", 5, 7, LONG_MAX - 12, 5)]


async def test_more_skus_than_one_statement_takes_are_changed_in_portions(store: PostgresStore) -> None:
    made: list[int] = []
    changes = [StockChange(f"sku-{number}", number % 7) for number in range(PORTION + 3)]
    done = await change(store, *changes, progress=made.append)
    assert made == [PORTION, PORTION + 3]
    assert [(one.sku, one.available) for one in done] == [(one.sku, one.units) for one in changes]
    assert await rows(store, "SELECT count(*), sum(available) FROM stock") == [
        (PORTION + 3, sum(one.units for one in changes))
    ]
    assert await rows(store, "SELECT count(*) FROM stock_adjustment") == [(sum(one.units > 0 for one in changes),)]


async def test_two_people_who_change_the_same_skus_in_other_orders_do_not_block_each_other(
    store: PostgresStore,
) -> None:
    skus = [f"sku-{number}" for number in range(50)]

    async def put_in(order: list[str]) -> None:
        for _ in range(10):
            await change(store, *(StockChange(sku, 1, relative=True) for sku in order))

    await asyncio.gather(put_in(skus), put_in(skus[::-1]))
    assert await rows(store, "SELECT DISTINCT available FROM stock") == [(20,)]

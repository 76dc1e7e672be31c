"""Random histories of stock: units are what the transactions that committed moved, whatever raced with what."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import LiteralString

import psycopg
import pytest

from domain.decision import Adjustment
from domain.errors import Contended
from domain.ids import EventId
from outbox.driver.conninfo import libpq_url
from outbox.operators import stock, taking_over
from outbox.operators.stock import StockChange, change_stock
from outbox.store import adjusting
from outbox.store.adjusting import adjust_stock
from outbox.store.postgres import PostgresStore
from outbox.store.stock import READ_LOCKED, move, read_available
from outbox.store.transaction import PgTransaction
from tests.outbox.migrated import database_template, store
from tests.schemas.builders import event_id

__all__ = ["database_template", "store"]

pytestmark = pytest.mark.integration
SKUS = ("Mug", "a", "b", "tea", "zebra", "\u00e9clair")
TURNS = 30
TRIES = 50
OLDER = b"""
    UPDATE stock s SET available = s.available + u.available, reserved = s.reserved - u.available
      FROM unnest(%s::text[], %s::bigint[]) AS u(sku, available) WHERE s.sku = u.sku"""
"""As the release before moves units."""
TOTALS: LiteralString = 'SELECT sku, available, reserved FROM stock ORDER BY sku COLLATE "C"'


class Broken(Exception):  # noqa: N818 - it stands for any bug
    """Rolls a transaction back."""


class History:
    """What has committed: by SKU the units that were put in, and those that orders hold."""

    def __init__(self, store: PostgresStore, url: str) -> None:
        self._store = store
        self._url = libpq_url(url)
        self.put: Counter[str] = Counter()
        self.held: Counter[str] = Counter()

    async def _transact(self, work: Callable[[PgTransaction], Awaitable[None]]) -> None:
        for turn in range(TRIES):
            try:
                async with self._store.transaction(contended=turn > 0) as transaction:
                    await work(transaction)
            except Contended:
                continue
            return
        raise AssertionError("whoever locks before it reads loses no race")

    async def order(self, chance: random.Random) -> None:
        """Reserve units of some SKUs as a batch does, and give some back later. One in ten breaks."""
        mine: Counter[str] = Counter()
        for _ in range(TURNS):
            skus = sorted(chance.sample(SKUS, chance.randint(1, len(SKUS))))
            back, units, breaks = chance.random() < 0.4, chance.randint(1, 3), chance.random() < 0.1
            moved: dict[str, int] = {}

            async def work(transaction: PgTransaction) -> None:
                there = await read_available(transaction, skus)  # noqa: B023 - it runs within this turn
                moved.clear()  # noqa: B023
                for sku in skus:  # noqa: B023
                    if back:  # noqa: B023
                        moved[sku] = -mine[sku]  # noqa: B023
                    elif there.get(sku, 0) >= units:  # noqa: B023
                        moved[sku] = units  # noqa: B023
                await move(transaction, {sku: (-count, count, 0) for sku, count in moved.items()})  # noqa: B023
                if breaks:  # noqa: B023
                    raise Broken

            try:
                await self._transact(work)
            except Broken:
                continue
            mine.update(moved)
            self.held.update(moved)

    async def older(self, chance: random.Random) -> None:
        """Reserve one of two SKUs each as the release before does, as long as there is one."""
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            for _ in range(TURNS):
                skus = sorted(chance.sample(SKUS, 2))
                try:
                    moved = await connection.execute(OLDER, [skus, [-1, -1]])
                except (psycopg.errors.CheckViolation, psycopg.errors.DeadlockDetected):
                    continue
                assert moved.rowcount == len(skus), "a row was not found, or two were"
                self.held.update(skus)

    async def warehouse(self, chance: random.Random) -> None:
        """Put units in and take some out, as a warehouse publishes it."""
        for _ in range(TURNS):
            asked = [
                Adjustment(EventId(event_id(f"warehouse {chance.random()}")), sku, chance.choice((-3, 2, 3)), "counted")
                for sku in chance.sample(SKUS, 3)
            ]
            refused: set[EventId] = set()

            async def work(transaction: PgTransaction) -> None:
                refused.clear()  # noqa: B023 - it runs within this turn
                refused.update(one.event_id for one in await adjust_stock(transaction, asked))  # noqa: B023

            await self._transact(work)
            self.put.update({one.sku: one.delta for one in asked if one.event_id not in refused})

    async def person(self, chance: random.Random) -> None:
        """Put units in by command."""
        for _ in range(TURNS):
            changes = [StockChange(sku, chance.randint(1, 2), relative=True) for sku in chance.sample(SKUS, 4)]

            async def work(transaction: PgTransaction) -> None:
                await change_stock(transaction, changes, "ann")  # noqa: B023 - it runs within this turn

            await self._transact(work)
            self.put.update({change.sku: change.units for change in changes})


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_races_stock_has_each_sku_once_and_every_unit(
    store: PostgresStore, database_url: str, seed: int
) -> None:
    history = History(store, database_url)
    await history.person(random.Random(seed))
    actors = (*(history.order,) * 4, history.older, history.warehouse, history.person)
    async with asyncio.TaskGroup() as group:
        for number, actor in enumerate(actors):
            group.create_task(actor(random.Random(f"{seed} {number}")))
    with psycopg.connect(libpq_url(database_url)) as connection:
        rows = connection.execute(TOTALS).fetchall()
    assert rows == [(sku, history.put[sku] - history.held[sku], history.held[sku]) for sku in sorted(SKUS)]


@pytest.mark.parametrize("lock", [adjusting._LOCK, stock._LOCK, taking_over._STOCK, READ_LOCKED])
def test_rows_are_locked_in_the_order_of_their_bytes_whatever_language_the_database_sorts_by(
    database_url: str, lock: LiteralString
) -> None:
    # Orders move "Mug" before "a". Who locks them the other way round, as many languages sort, waits in a circle.
    assert 'COLLATE "C"' in next(line for (line,) in _plan(database_url, lock) if "Sort Key" in line)


def _plan(url: str, query: LiteralString) -> list[tuple[str]]:
    with psycopg.connect(libpq_url(url), cursor_factory=psycopg.ClientCursor) as connection:
        return connection.execute(f"EXPLAIN {query}".encode(), [["a", "Mug"]]).fetchall()

"""Both inventories keep the same promises: every line or none, nothing twice, and the stock adds up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from domain.errors import Contended
from domain.operation import OperationKind as K
from domain.outcome import Approved, Missing, Outcome, Reserved, Short
from outbox.driver.connections import Connections
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.contracts.inventory_worlds import Ask, HttpWorld, InternalWorld, World, lines
from tests.servers.databases import fresh_database
from tests.stockhouse.process import StockhouseProcess, running

RIVALS = 100


@pytest.fixture(scope="module")
def stockhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockhouseProcess]:
    with running(tmp_path_factory.mktemp("inventory") / "inventory.jsonl") as process:
        yield process


@pytest.fixture(scope="module")
def migrated(database_server_url: str) -> Iterator[str]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        yield libpq_url(url)


@pytest_asyncio.fixture(params=["internal", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "http":
        far = HttpWorld(request.getfixturevalue("stockhouse").address)
        yield far
        await far.close()
        return
    url = request.getfixturevalue("migrated")
    store = PostgresStore(Connections(url, 8), Codec().encode)
    await store.maintain()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
            cursor = await connection.execute(query.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []

        yield InternalWorld(store, rows)
    await store.close()


@pytest.fixture
def sku(request: pytest.FixtureRequest) -> str:
    """Name a SKU of this test's own: the worlds are shared."""
    return f"S{abs(hash(request.node.nodeid)) % 10**8}"


async def test_a_hold_takes_every_line_and_a_sale_keeps_it(world: World, sku: str) -> None:
    await world.put_in({sku: 5, f"{sku}B": 5})
    both = lines(**{sku: 2, f"{sku}B": 1})
    (held,) = await world.ask(Ask(K.RESERVE, sku, both))
    assert isinstance(held, Reserved)
    assert (await world.shelf(sku), await world.shelf(f"{sku}B")) == ((3, 2, 0), (4, 1, 0))
    assert await world.ask(Ask(K.CONFIRM, sku, both)) == [Approved()]
    assert (await world.shelf(sku), await world.shelf(f"{sku}B")) == ((3, 0, 2), (4, 0, 1))


async def test_what_is_short_is_named_and_nothing_is_held(world: World, sku: str) -> None:
    await world.put_in({sku: 5, f"{sku}B": 1})
    wanted = lines(**{sku: 2, f"{sku}B": 3, f"{sku}C": 1})
    (short,) = await world.ask(Ask(K.RESERVE, sku, wanted))
    assert short == Short((Missing(f"{sku}B", 3, 1), Missing(f"{sku}C", 1, None)))
    assert (await world.shelf(sku), await world.shelf(f"{sku}B")) == ((5, 0, 0), (1, 0, 0))


async def test_what_is_released_can_be_held_by_another(world: World, sku: str) -> None:
    await world.put_in({sku: 1})
    one = lines(**{sku: 1})
    assert isinstance((await world.ask(Ask(K.RESERVE, f"{sku}a", one)))[0], Reserved)
    assert await world.ask(Ask(K.RESERVE, f"{sku}b", one)) == [Short((Missing(sku, 1, 0),))]
    assert await world.ask(Ask(K.RELEASE, f"{sku}a", one)) == [Approved()]
    assert isinstance((await world.ask(Ask(K.RESERVE, f"{sku}c", one)))[0], Reserved)
    assert await world.shelf(sku) == (0, 1, 0)


async def test_many_calls_at_once_are_answered_each_for_itself(world: World, sku: str) -> None:
    await world.put_in({sku: 150})
    one = lines(**{sku: 1})
    reserved = await world.ask(*(Ask(K.RESERVE, f"{sku}-{n}", one) for n in range(250)))
    assert Counter(type(outcome) for outcome in reserved) == {Reserved: 150, Short: 100}
    winners = [n for n, outcome in enumerate(reserved) if isinstance(outcome, Reserved)]
    sold, freed = winners[:100], winners[100:]
    calls = [Ask(K.CONFIRM, f"{sku}-{n}", one) for n in sold] + [Ask(K.RELEASE, f"{sku}-{n}", one) for n in freed]
    assert await world.ask(*calls) == [Approved()] * 150
    assert await world.shelf(sku) == (50, 0, 100)


async def test_of_a_hundred_rivals_for_the_last_item_one_gets_it(world: World, sku: str) -> None:
    await world.put_in({sku: 1})
    one = lines(**{sku: 1})

    async def compete(n: int) -> Outcome:
        while True:  # the internal inventory's transactions are run again when another has won
            try:
                return (await world.ask(Ask(K.RESERVE, f"{sku}-{n}", one)))[0]
            except Contended:
                continue

    outcomes = await asyncio.gather(*(compete(n) for n in range(RIVALS)))
    assert Counter(type(outcome) for outcome in outcomes) == {Reserved: 1, Short: RIVALS - 1}
    assert await world.shelf(sku) == (0, 1, 0)

"""Eras of stock rows: every change counts once, whoever waits for whom, and look-ups stay short under a snapshot."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, LiteralString

import psycopg
import pytest

from domain.decision import Adjustment
from domain.ids import EventId
from outbox.driver.connections import HOT_OPTIONS
from outbox.driver.conninfo import libpq_url
from outbox.operators.stock import StockChange, change_stock
from outbox.operators.taking_over import cover
from outbox.store import stock
from outbox.store.adjusting import adjust_stock
from outbox.store.postgres import PostgresStore
from outbox.store.stock import MOVES_OF_ERA, move, read_available
from outbox.store.transaction import PgTransaction
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.migrated import database_template, store
from tests.schemas.builders import event_id

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

Row = tuple[int, int, int, int, int]
OLDER_READ: LiteralString = "SELECT sku, available FROM stock WHERE sku = ANY(%s) ORDER BY sku"
OLDER_READ_LOCKED: LiteralString = OLDER_READ + " FOR UPDATE"
OLDER_MOVE: LiteralString = """
    UPDATE stock s SET available = s.available + u.available, reserved = s.reserved + u.reserved,
                       sold = s.sold + u.sold
      FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) AS u(sku, available, reserved, sold)
     WHERE s.sku = u.sku"""
"""As the release before this schema reads, locks and moves."""
HELD: Mapping[str, tuple[int, int, int]] = {"tea": (-1, 1, 0)}


@pytest.fixture
def url(database_url: str) -> str:
    return libpq_url(database_url)


def fill(url: str, *skus: str, moves: int = 0, era: int = 0) -> None:
    with psycopg.connect(url) as connection:
        for sku in skus:
            connection.execute("INSERT INTO stock VALUES (%s, 1000, 0, 0, %s, %s)", [sku, era, moves])


def row(url: str, sku: str = "tea") -> Row:
    """Return available, reserved, sold, era and moves."""
    with psycopg.connect(url) as connection:
        asked = "SELECT available, reserved, sold, era, moves FROM stock WHERE sku = %s"
        (found,) = connection.execute(asked, [sku]).fetchall()
    return found


async def test_an_era_begins_with_every_so_many_changes(store: PostgresStore, url: str) -> None:
    fill(url, "tea")
    for _ in range(2 * MOVES_OF_ERA + 3):
        async with store.transaction() as transaction:
            await move(transaction, HELD)
    moved = 2 * MOVES_OF_ERA + 3
    assert row(url) == (1000 - moved, moved, 0, 2, 3)


async def test_stock_is_moved_on_though_its_era_is_the_greatest_that_a_column_keeps(
    store: PostgresStore, url: str
) -> None:
    fill(url, "tea", era=2**31 - 1, moves=MOVES_OF_ERA - 1)
    for _ in range(2):
        async with store.transaction() as transaction:
            await move(transaction, HELD)
    assert row(url) == (998, 2, 0, 2**31 - 1, 1)


async def _move(transaction: PgTransaction) -> None:
    await move(transaction, HELD)


async def _adjust(transaction: PgTransaction) -> None:
    assert await adjust_stock(transaction, [Adjustment(EventId(event_id("up")), "tea", 5, "counted")]) == []


async def _change(transaction: PgTransaction) -> None:
    await change_stock(transaction, [StockChange("tea", 5, relative=True)], "ann")


async def _cover(transaction: PgTransaction) -> None:
    assert await cover(transaction, {"tea": (-2_000, 2_000, 0)}) == {"tea": 1_001}


Work = Callable[[PgTransaction], Awaitable[None]]
CHANGES: tuple[tuple[Work, int, int], ...] = ((_move, -1, 1), (_adjust, 5, 0), (_change, 5, 0), (_cover, 1_001, 0))
"""Who changes stock, and by how much available and reserved change."""


@pytest.mark.parametrize(("work", "available", "reserved"), CHANGES)
async def test_who_waited_while_an_era_began_changes_the_newest_row(
    store: PostgresStore, url: str, work: Work, available: int, reserved: int
) -> None:
    fill(url, "tea", moves=MOVES_OF_ERA - 1)
    async with await psycopg.AsyncConnection.connect(url) as first:
        await first.execute(
            f"UPDATE stock s SET available = available - 1, reserved = reserved + 1, {stock.COUNT}".encode()
        )

        async def second() -> None:
            async with store.transaction() as transaction:
                await work(transaction)

        waiting = asyncio.ensure_future(second())
        await until_it_blocks_somebody(first)
        await first.commit()
        await waiting
    assert row(url) == (999 + available, 1 + reserved, 0, 1, 1)


async def test_who_waited_for_the_lock_reads_what_was_committed_meanwhile(store: PostgresStore, url: str) -> None:
    fill(url, "tea", "Mug", moves=MOVES_OF_ERA - 1)
    async with await psycopg.AsyncConnection.connect(url) as first:
        await first.execute(f"UPDATE stock s SET available = 3, {stock.COUNT} WHERE sku = 'tea'".encode())

        async def second() -> dict[str, int]:
            async with store.transaction(contended=True) as transaction:
                return await read_available(transaction, ["Mug", "none", "tea"])

        waiting = asyncio.ensure_future(second())
        await until_it_blocks_somebody(first)
        await first.commit()
        assert await waiting == {"Mug": 1000, "tea": 3}


async def test_a_process_of_the_release_before_waits_and_moves_the_newest_row(store: PostgresStore, url: str) -> None:
    fill(url, "tea", moves=MOVES_OF_ERA - 1)
    async with await psycopg.AsyncConnection.connect(url) as older:
        async with store.transaction() as transaction:
            await move(transaction, HELD)

            async def moves() -> None:
                await older.execute(OLDER_READ_LOCKED, [["tea"]])
                await older.execute(OLDER_MOVE, [["tea"], [-1], [1], [0]])
                await older.commit()

            waiting = asyncio.ensure_future(moves())
            await until_it_blocks_somebody(await transaction.plain())
        await waiting
    assert row(url) == (998, 2, 0, 1, 0)


async def test_moves_wait_for_a_process_of_the_release_before(store: PostgresStore, url: str) -> None:
    fill(url, "tea", moves=MOVES_OF_ERA - 1)
    async with await psycopg.AsyncConnection.connect(url) as older:
        await older.execute(OLDER_MOVE, [["tea"], [-1], [1], [0]])

        async def moves() -> None:
            async with store.transaction() as transaction:
                await move(transaction, HELD)

        waiting = asyncio.ensure_future(moves())
        await until_it_blocks_somebody(older)
        await older.commit()
        await waiting
    assert row(url) == (998, 2, 0, 1, 0)


async def test_what_the_release_before_moved_out_of_its_page_is_found(store: PostgresStore, url: str) -> None:
    fill(url, "tea")
    with psycopg.connect(url) as dump, psycopg.connect(url, autocommit=True) as older:
        dump.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        dump.execute("SELECT count(*) FROM stock")
        for _ in range(300):
            older.execute(OLDER_MOVE, [["tea"], [-1], [1], [0]])
        async with store.transaction() as transaction:
            assert await read_available(transaction, ["tea"]) == {"tea": 700}
            await move(transaction, HELD)
        dump.rollback()
    assert row(url) == (699, 301, 0, 0, 1)


PLANNED: tuple[tuple[LiteralString, int], ...] = (
    (stock._READ, 1),
    (stock.READ_LOCKED, 1),
    (stock._MOVE.sql, 4),
    (stock.SET_AVAILABLE.sql, 2),
)
ARRAYS_OF = (["Mug", "tea"], [1, 1], [1, 1], [1, 1])


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("rows", [0, 20_000])
@pytest.mark.parametrize(("query", "arrays"), PLANNED)
def test_rows_are_found_by_their_era_even_if_the_plan_is_made_while_the_table_is_empty(
    url: str, query: LiteralString, arrays: int, rows: int, mode: LiteralString
) -> None:
    types = ["text[]", *["bigint[]"] * (arrays - 1)]
    with psycopg.connect(url, autocommit=True, options=HOT_OPTIONS) as connection:
        if rows:
            connection.execute("INSERT INTO stock SELECT 'SKU-' || n, 1, 0, 0 FROM generate_series(1, %s) n", [rows])
            connection.execute("ANALYZE stock")
        numbered = query
        for number in range(arrays):
            numbered = numbered.replace("%s", f"${number + 1}", 1)
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        connection.execute(f"PREPARE asked ({', '.join(types)}) AS {numbered}".encode())
        given = ", ".join(f"ARRAY[{', '.join(map(repr, each))}]" for each in ARRAYS_OF[:arrays])
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN EXECUTE asked ({given})".encode()))
    uses = plan.count("stock_sku_era_idx")
    assert uses == plan.count("on stock") - plan.count("Update on stock")
    assert uses == (1 if arrays == 1 else 2)
    assert "Seq Scan" not in plan
    assert "era >= " in plan or arrays == 1


async def test_look_ups_do_not_walk_over_all_versions_while_a_snapshot_is_held(store: PostgresStore, url: str) -> None:
    skus = [f"SKU-{n:02}" for n in range(40)]
    fill(url, *skus)
    moves = dict.fromkeys(skus, (-1, 1, 0))
    with psycopg.connect(url) as dump, psycopg.connect(url, autocommit=True, options=HOT_OPTIONS) as reader:
        dump.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        dump.execute("SELECT count(*) FROM stock")
        for _ in range(10 * MOVES_OF_ERA):
            async with store.transaction() as transaction:
                await move(transaction, moves)
        walked = pages(reader, OLDER_READ, skus[7])
        assert pages(reader, stock._READ, skus[7]) < walked / 4
        dump.rollback()


def pages(connection: psycopg.Connection[Any], query: LiteralString, sku: str) -> int:
    """Return how many pages of stock and its indexes a query touches."""
    count = """SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
                 FROM pg_statio_user_tables WHERE relname = 'stock'"""
    read = []
    for _ in range(2):
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT pg_stat_clear_snapshot()")
        read.append(int(connection.execute(count).fetchall()[0][0]))
        assert connection.execute(query, [[sku]]).fetchall() == [(sku, 1000 - 10 * MOVES_OF_ERA)]
    return read[1] - read[0]

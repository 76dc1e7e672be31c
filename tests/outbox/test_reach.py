"""The sweep's looks do not walk over all that ended under a snapshot; nothing that is due is overlooked for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final, LiteralString

import psycopg
import pytest

from outbox.driver.connections import HOT_OPTIONS
from outbox.driver.conninfo import libpq_url
from outbox.driver.session import Session
from outbox.schema.mapping import OPERATIONS
from outbox.store import claiming, questions
from outbox.store.postgres import PostgresStore
from outbox.store.reach import (
    EVERYTHING,
    MANY,
    OLD_MOST,
    PAGES_A_ROW,
    SPACED_MOST_S,
    SPACED_S,
    YOUNG,
    Bounds,
    Reach,
    Spacing,
    below,
)
from tests.eventually import EVENTUALLY_S, POLL_S
from tests.outbox.held import snapshot
from tests.outbox.migrated import database_template, store
from tests.outbox.relaying import conninfo

__all__ = ["database_template", "store"]

ENDED: Final = 3 * YOUNG
"""Orders whose operations ended under the snapshot. Rows are so wide that they fill more than MANY pages."""
FIRST: Final = 1_001
"""Of these orders."""
FAR: Final = MANY + 1
WIDE: Final = 400
LEASE_S: Final = 60.0
_OPEN: LiteralString = """
    INSERT INTO operation (order_number, order_id, attempt, kind, try_number, for_request, operation_id, reaction,
                           amount_minor, currency, opened_at, state, tries, due_at, replayed, detail)
    SELECT n, 'order-' || n, 1, %s, 1, '', gen_random_uuid(), 'authorize_payment', 100, 'EUR',
           now() - interval '1 hour', 'open', 0, %s, false, repeat('x', %s) FROM generate_series(%s::bigint, %s) n"""
_HOLD: LiteralString = """
    INSERT INTO reservation (order_number, order_id, attempt, reservation_id, state, expires_at, pinned)
    SELECT n, repeat('x', %s) || n, 1, gen_random_uuid(), 'held', '-infinity', false
      FROM generate_series(%s::bigint, %s) n"""
_END: LiteralString = """
    UPDATE operation SET state = 'approved', due_at = NULL, settled_at = now() WHERE order_number BETWEEN %s AND %s"""


def test_the_floor_is_behind_the_youngest_orders() -> None:
    reach = Reach()
    assert reach.look_from(1.0) is None
    reach.note_claimed(0, FAR)
    assert reach.look_from(1.0) is EVERYTHING
    reach.note_looked(EVERYTHING, 20_000, [], FAR, 1.0)
    assert reach.bounds == Bounds(below(20_000))
    assert reach.look_from(1.0) is None


def test_older_unfinished_orders_are_remembered_up_to_a_number() -> None:
    old = range(100, 100 + OLD_MOST)
    for unfinished, first in (([*old], below(20_000)), ([*old, 777], 777)):
        reach = Reach()
        reach.note_looked(EVERYTHING, 20_000, unfinished, FAR, 0.0)
        assert reach.bounds == Bounds(first, tuple(old))


def test_a_floor_rises_from_where_it_is_and_ends_when_it_would_have_ended() -> None:
    reach = Reach()
    reach.note_looked(EVERYTHING, 20_000, [7], 10 * MANY, 0.0)
    ends = 10 * MANY * SPACED_S
    reach.note_claimed(0, FAR)
    assert reach.look_from(ends - 1) == Bounds(below(20_000), (7,))
    reach.note_looked(reach.bounds, 30_000, [7, 24_000], FAR, ends - 1)
    assert reach.bounds == Bounds(below(30_000), (7, 24_000))
    assert reach.look_from(ends - 0.1) is None
    assert reach.look_from(ends) is EVERYTHING


def test_no_floor_is_looked_for_again_and_again_while_very_much_is_unfinished() -> None:
    reach = Reach()
    reach.note_looked(EVERYTHING, 20_000, range(OLD_MOST + 1), 10 * MANY, 0.0)
    reach.note_claimed(0, FAR)
    assert reach.look_from(10 * MANY * SPACED_S - 0.1) is None


def test_a_floor_never_lasts_longer_than_a_minute() -> None:
    reach = Reach()
    reach.note_looked(EVERYTHING, 20_000, [], 1_000_000_000, 5.0)
    assert reach.look_from(4.9 + SPACED_MOST_S) is None
    assert reach.look_from(5.0 + SPACED_MOST_S) is EVERYTHING


def test_there_is_no_floor_any_more_once_a_look_over_everything_is_short() -> None:
    reach = Reach()
    reach.note_looked(EVERYTHING, 20_000, [7], FAR, 0.0)
    reach.note_looked(EVERYTHING, 30_000, [7], MANY // 2, 100.0)
    assert reach.bounds is EVERYTHING
    assert reach.look_from(200.0) is None


def test_a_claim_of_many_rows_is_no_walk() -> None:
    reach = Reach()
    reach.note_claimed(500, MANY + 500 * PAGES_A_ROW)
    assert reach.look_from(1.0) is None
    reach.note_claimed(500, FAR + 500 * PAGES_A_ROW)
    assert reach.look_from(1.0) is EVERYTHING


def test_a_look_that_touched_many_pages_is_not_made_again_at_once() -> None:
    spacing = Spacing()
    spacing.note(MANY, 0.0)
    assert spacing.is_due(0.0)
    spacing.note(FAR, 0.0)
    assert not spacing.is_due(FAR * SPACED_S - 0.01)
    assert spacing.is_due(FAR * SPACED_S)


@pytest.fixture
def url(database_url: str) -> str:
    return libpq_url(database_url)


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Session]:
    async with await Session.connect(conninfo(database_url), options=HOT_OPTIONS) as opened:
        yield opened


def open_operations(
    connection: psycopg.Connection[Any], first: int, last: int, *, kind: str = "authorize", due: str = "-infinity"
) -> None:
    """Open an operation of each of these orders."""
    connection.execute(_OPEN, [kind, due, WIDE, first, last])


def end_operations(connection: psycopg.Connection[Any], first: int, last: int) -> None:
    """Open and end an operation of each of these orders."""
    for n in range(first, last + 1, 500):
        open_operations(connection, n, min(n + 499, last), due="infinity")
        connection.execute(_END, [n, min(n + 499, last)])


async def pages_of_claim(session: Session, reach: Reach, now: float) -> int:
    """Return how many pages of operations and their indexes a claim touches that finds nothing."""
    count = b"""SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
                  FROM pg_statio_user_tables WHERE relname = 'operation'"""
    pages = []
    for claims in (True, False):
        await session.execute("SELECT pg_stat_force_next_flush()")
        await session.commit()
        await session.execute("SELECT pg_stat_clear_snapshot()")
        pages.append((await (await session.execute(count)).fetchall())[0][0])
        await session.commit()
        if claims:
            assert await orders_claimed(session, reach, now) == []
    return int(pages[1] - pages[0])


async def orders_claimed(session: Session, reach: Reach, now: float, limit: int = 1_000) -> list[int]:
    """Claim; return the numbers of the orders, in ascending order."""
    rows = await claiming.claim_due(session, reach, limit, LEASE_S, now)
    return sorted(int(OPERATIONS.load(row).order_id.removeprefix("order-")) for row in rows)


@asynccontextmanager
async def far_behind(session: Session, url: str, *old: int) -> AsyncIterator[tuple[Reach, psycopg.Connection[Any]]]:
    """Hold a snapshot under which much has ended; give a reach with a floor, and a connection to change things.

    old: orders before all others that have an operation which is not due.
    """
    with snapshot(url) as beside:
        for number in old:
            open_operations(beside, number, number, due="infinity")
        end_operations(beside, FIRST, FIRST + ENDED - 1)
        reach = Reach()
        for _ in range(2):
            assert await orders_claimed(session, reach, 0.0) == []
        assert reach.bounds == Bounds(below(FIRST + ENDED - 1), old)
        yield reach, beside


@pytest.mark.integration
async def test_claims_do_not_walk_over_what_ended_while_a_snapshot_is_held(session: Session, url: str) -> None:
    async with far_behind(session, url) as (reach, beside):
        walked = await pages_of_claim(session, Reach(), 0.0)
        assert walked > MANY
        assert await pages_of_claim(session, reach, 0.1) < walked / 2
        end_operations(beside, FIRST + ENDED, FIRST + 2 * ENDED - 1)
        for _ in range(2):
            assert await orders_claimed(session, reach, 0.4) == []
        assert reach.bounds.first == below(FIRST + 2 * ENDED - 1)
        assert await pages_of_claim(session, reach, 0.4) < walked / 2


@pytest.mark.integration
async def test_an_older_order_that_was_unfinished_is_claimed_at_once(session: Session, url: str) -> None:
    async with far_behind(session, url, 3, 5) as (reach, beside):
        beside.execute("UPDATE operation SET due_at = now() WHERE order_number = 5")
        assert await orders_claimed(session, reach, 0.1) == [5]
        assert await orders_claimed(session, reach, 0.1) == []


@pytest.mark.integration
async def test_what_is_opened_for_an_older_order_is_claimed_within_a_minute(session: Session, url: str) -> None:
    async with far_behind(session, url) as (reach, beside):
        open_operations(beside, FIRST + 1, FIRST + 1, kind="capture")
        open_operations(beside, FIRST + 2, FIRST + 2, kind="refund")
        beside.execute("UPDATE operation SET state = 'pending' WHERE kind = 'refund'")
        newest = FIRST + ENDED
        open_operations(beside, newest, newest)
        assert await orders_claimed(session, reach, 0.1) == [newest]
        assert await orders_claimed(session, reach, SPACED_MOST_S) == [FIRST + 1, FIRST + 2]


@pytest.mark.integration
async def test_no_more_is_claimed_than_asked_for_and_the_rest_afterwards(session: Session, url: str) -> None:
    async with far_behind(session, url, 3, 5) as (reach, beside):
        newest = FIRST + ENDED
        open_operations(beside, newest, newest + 2)
        beside.execute("UPDATE operation SET due_at = now() WHERE order_number IN (3, 5)")
        claimed = [await orders_claimed(session, reach, 0.1, limit) for limit in (1, 3, 3)]
        assert [len(each) for each in claimed] == [1, 3, 1]
        assert sorted(chain(*claimed)) == [3, 5, newest, newest + 1, newest + 2]


@pytest.mark.integration
async def test_the_floor_is_gone_when_the_snapshot_is(session: Session, url: str) -> None:
    async with far_behind(session, url, 3) as (reach, _):
        pass
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM operation")
    assert await orders_claimed(session, reach, SPACED_MOST_S) == []
    assert reach.bounds is EVERYTHING


def hold(connection: psycopg.Connection[Any], first: int, last: int) -> None:
    """Make a hold of each of these orders that has run out."""
    connection.execute(_HOLD, [WIDE, first, last])


@pytest.mark.integration
async def test_holds_that_ran_out_are_not_looked_for_again_at_once_but_soon(store: PostgresStore, url: str) -> None:
    time = asyncio.get_running_loop().time
    with snapshot(url) as beside:
        for n in range(FIRST, FIRST + 2 * ENDED, 500):
            hold(beside, n, n + 499)
            beside.execute("UPDATE reservation SET state = 'sold' WHERE order_number >= %s", [n])
        began = time()
        assert await store.lapsed_holds(10) == []
        assert not store._spacing[questions.LAPSED_HOLDS].is_due(began + MANY * SPACED_S)
        hold(beside, 1, 1)
        while not (found := await store.lapsed_holds(10)) and time() < began + EVENTUALLY_S:  # noqa: ASYNC110 - only time ends it
            await asyncio.sleep(POLL_S)
        assert [order_id[-2:] for order_id in found] == ["x1"]

"""Claims of messages do not walk over all that were sent under a snapshot; none that is due is overlooked for long."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import psycopg
import pytest

from outbox.driver.conninfo import libpq_url
from outbox.store.postgres import PostgresStore
from outbox.store.reach import EVER, LATE, MANY, SPACED_S, DueReach
from tests.eventually import EVENTUALLY_S, POLL_S
from tests.outbox.held import snapshot
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]

SENT: Final = 15_000
"""Messages. They are so wide that they fill more than MANY pages."""
FAR: Final = MANY + 1
WIDE: Final = 400
LEASE_S: Final = 60.0
_MESSAGE: LiteralString = """
    INSERT INTO message (event_id, order_id, customer_id, kind, text, amount_minor, currency, money, retryable,
                         occurred_at, send_until, state, tries, due_at)
    SELECT gen_random_uuid(), 'order-' || n, 'c-1', 'PAYMENT_FAILED', repeat('x', %s), 100, 'EUR', 'NONE', false,
           now(), now(), 'waiting', 0, now() - make_interval(mins => %s) FROM generate_series(1, %s) n"""


def test_what_is_due_is_looked_for_from_shortly_before_the_last_claim() -> None:
    reach, at = DueReach(), datetime(2026, 12, 1, tzinfo=UTC)
    assert reach.since(0.0) == EVER
    reach.note(EVER, at, FAR, 0.0)
    assert reach.since(0.1) == at - LATE
    reach.note(at - LATE, at + LATE, 10, 0.1)
    assert reach.since(0.2) == at
    assert reach.since(FAR * SPACED_S) == EVER


def test_everything_that_is_due_is_looked_for_while_that_touches_few_pages() -> None:
    reach, at = DueReach(), datetime(2026, 12, 1, tzinfo=UTC)
    for upto in (at, EVER):
        reach.note(EVER, upto, MANY, 0.0)
        assert reach.since(0.0) == EVER


@pytest.fixture
def url(database_url: str) -> str:
    return libpq_url(database_url)


def send_messages(connection: psycopg.Connection[Any]) -> None:
    """Have many messages wait and be sent."""
    for _ in range(0, SENT, 500):
        connection.execute(_MESSAGE, [WIDE, 10, 500])
        connection.execute(
            "UPDATE message SET due_at = NULL, state = 'sent', settled_at = now() WHERE due_at IS NOT NULL"
        )


async def pages_of_messages(store: PostgresStore, beside: psycopg.Connection[Any], claimed: int) -> int:
    """Return how many pages of messages and their indexes a claim touches that finds so many."""
    count = b"""SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
                  FROM pg_statio_user_tables WHERE relname = 'message'"""
    pages = []
    for claims in (True, False):
        # The store's session says what it counted when it is asked to.
        async with store._connections.lend() as session:
            await session.execute("SELECT pg_stat_force_next_flush()")
            await session.commit()
        beside.execute("SELECT pg_stat_clear_snapshot()")
        pages.append(beside.execute(count).fetchall()[0][0])
        if claims:
            assert len(await store.messages.claim(10, LEASE_S)) == claimed
    return int(pages[1] - pages[0])


@pytest.mark.integration
async def test_messages_are_claimed_from_shortly_before_the_last_claim_on(store: PostgresStore, url: str) -> None:
    with snapshot(url) as beside:
        send_messages(beside)
        walked = await pages_of_messages(store, beside, 0)
        assert walked > MANY
        beside.execute(_MESSAGE, [1, 0, 2])
        assert await pages_of_messages(store, beside, 2) < walked / 5


@pytest.mark.integration
async def test_a_message_that_was_due_long_before_the_last_claim_is_claimed_soon(
    store: PostgresStore, url: str
) -> None:
    time = asyncio.get_running_loop().time
    with snapshot(url) as beside:
        send_messages(beside)
        assert await store.messages.claim(10, LEASE_S) == []
        beside.execute(_MESSAGE, [1, 10, 1])
        until = time() + EVENTUALLY_S
        while not (found := await store.messages.claim(10, LEASE_S)) and time() < until:  # noqa: ASYNC110 - only time ends it
            await asyncio.sleep(POLL_S)
        assert len(found) == 1

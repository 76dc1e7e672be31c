"""Whose an id of the gateway is: found among many orders, under settings of its own; told when it takes too long."""

import asyncio
from typing import LiteralString

import psycopg
import pytest

from domain.errors import TooMuch
from domain.ids import OrderId
from outbox.driver.conninfo import libpq_url
from outbox.store import PostgresStore
from outbox.store.references import other_owner
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

MANY = 200_000
MINE = OrderId("mine")
ORDERS: LiteralString = """
    INSERT INTO attempt (order_id, attempt, method_kind, transaction_id, authorized_minor, captured_minor,
                         refunded_minor, voided, livemode, refund_id, order_number)
    SELECT 'order-' || n, 1, 'CARD', 'pi_' || n, 0, 0, 0, false, false, 're_' || n, n FROM generate_series(1, %s) n"""
OPERATIONS: LiteralString = """
    INSERT INTO operation (order_id, attempt, kind, try_number, operation_id, state, reaction, amount_minor, currency,
                           transaction_id, reference, tries, opened_at, replayed, order_number, for_request)
    SELECT 'order-' || n, 1, 'refund', 1, gen_random_uuid(), 'declined', 'return_payment', 1, 'EUR', 'pi_of_call_' || n,
           're_of_call_' || n, 1, now(), false, n, '' FROM generate_series(1, %s) n"""
CANCEL: LiteralString = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"""
HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
SETTINGS = "SELECT current_setting('enable_seqscan'), current_setting('statement_timeout')"


async def test_among_many_orders_the_owner_is_found_and_the_transaction_keeps_its_own_settings(
    store: PostgresStore, database_url: str
) -> None:
    with connected(database_url) as connection:
        for statement in (ORDERS, OPERATIONS):
            connection.execute(statement, [MANY])
    async with store.transaction(contended=True) as transaction:
        before = await transaction.query(SETTINGS)
        for prefix in ("pi_", "re_", "pi_of_call_", "re_of_call_"):
            assert await other_owner(transaction, f"{prefix}{MANY}", MINE) == f"order-{MANY}"
            assert await other_owner(transaction, f"{prefix}{MANY}", OrderId(f"order-{MANY}")) is None
        assert await other_owner(transaction, "pi_of_nobody", MINE) is None
        assert await transaction.query(SETTINGS) == before == [("off", "1min")]


async def test_a_search_that_takes_too_long_ends_with_what_to_do(store: PostgresStore, database_url: str) -> None:
    async def search() -> OrderId | None:
        async with store.transaction(contended=True) as transaction:
            return await other_owner(transaction, "pi_1", MINE)

    with connected(database_url) as other, psycopg.connect(libpq_url(database_url)) as holder:
        holder.execute("LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE")
        searching = asyncio.create_task(search())
        held = [holder.info.dbname]
        await asyncio.to_thread(eventually, lambda: other.execute(CANCEL, held).fetchall(), "the search does not wait")
        with pytest.raises(TooMuch, match="whether pi_1 is another order's; nothing was done: try again"):
            await searching


async def test_others_who_ask_about_the_same_id_wait_even_if_statements_wait_to_be_sent_together(
    store: PostgresStore, database_url: str
) -> None:
    async with store.transaction(contended=True) as transaction:
        await transaction.load([])
        assert await other_owner(transaction, "pi_1", MINE) is None
        with connected(database_url) as other:
            assert other.execute(HELD).fetchall() == [(1,)]

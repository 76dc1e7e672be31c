"""Which transactions of ours the gateway must have, as proof that it is asked with the right key."""

from typing import Final, LiteralString

import pytest

from domain.ids import OrderId
from outbox.store import PostgresStore
from tests.embedded.support import connected
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

MANY: Final = 50_000
ORDERS: Final[LiteralString] = """
    INSERT INTO orders (order_id, order_number, customer_id, correlation_id, currency, total_minor, lines, content_hash,
                        status, version, attempt, created_at, updated_at, retryable, missing, delay_notified, resends)
    SELECT 'order-' || n, n, 'c', 'c', 'EUR', 1, '[]', '\\x00', 'confirmed', 0, 1, now(), now(), false, '[]', false, 0
      FROM generate_series(1, %s) n"""
ATTEMPTS: Final[LiteralString] = """
    INSERT INTO attempt (order_id, attempt, method_kind, transaction_id, authorized_minor, captured_minor,
                         refunded_minor, voided, livemode, order_number)
    SELECT 'order-' || n, 1, 'CARD', CASE WHEN n %% 10 <> 0 THEN 'pi_' || n END, 0, 0, 0, false, false, n
      FROM generate_series(1, %s) n"""


async def test_the_newest_transactions_of_earlier_orders_are_known(store: PostgresStore, database_url: str) -> None:
    with connected(database_url) as connection:
        for statement in (ORDERS, ATTEMPTS):
            connection.execute(statement, [MANY])
    assert await store.known_before(OrderId("order-23")) == ["pi_22", "pi_21", "pi_19"]
    assert await store.known_before(OrderId(f"order-{MANY}")) == [f"pi_{MANY - n}" for n in (1, 2, 3)]


async def test_before_the_first_order_and_before_no_order_nothing_is_known(store: PostgresStore) -> None:
    assert await store.known_before(OrderId("order-1")) == []

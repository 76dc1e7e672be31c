"""The list of orders: those that changed last, whatever the journal tells of them."""

import psycopg
import pytest

from outbox.driver.conninfo import libpq_url
from outbox.operators.queries import order_list, snapshot
from outbox.schema.migrations import upgrade

pytestmark = pytest.mark.integration

ORDERS = 300
STATUSES = ("paid_and_confirmed", "payment_failed", "manual_review")
_ORDERS = b"""
    INSERT INTO orders (order_id, status, version, attempt, customer_id, correlation_id, currency, total_minor, lines,
                        content_hash, retryable, delay_notified, resends, created_at, updated_at, order_number)
    SELECT 'order-' || n, (ARRAY['paid_and_confirmed', 'payment_failed', 'manual_review'])[1 + (n %% 41 = 0)::int
           + (n %% 83 = 0)::int], 1, 1, 'customer-1', 'correlation', 'EUR', 3080, '[["SKU-1", 2]]', '', false, false, 0,
           now() - interval '9 d', now() - interval '8 d' + n / 3 * interval '1 s', n
      FROM generate_series(1, %s) n"""
"""Three change at a time, and the later ones later. A few are of the rarer statuses."""
_EVENTS = b"""
    INSERT INTO event (event_id, order_id, order_version, ordinal, topic, occurred_at, order_number)
    SELECT gen_random_uuid(), order_id, 1, ordinal, 'PaymentAuthorized', now(), order_number
      FROM orders CROSS JOIN generate_series(0, 3) ordinal ORDER BY order_number"""
_REVIEWS = (
    b"INSERT INTO review (order_id) SELECT order_id FROM orders WHERE status = 'manual_review' OR order_number < 5"
)
_TOUCH = b"UPDATE orders SET updated_at = now() + order_number * interval '1 s' WHERE order_number = ANY(%s)"
_ASK = b"""
    INSERT INTO order_request (order_number, order_id, request_id, kind, arrival, content_hash, state, noted_at, reason,
                               requested_by, causation_id, lines, returned_minor, tries)
    SELECT order_number, order_id, 'R-1', 'refund', 1, '', 'approval', now(), 'damaged', 'agent-7', gen_random_uuid(),
           '[]', 0, 0
      FROM orders WHERE order_number % 7 = 0"""
SILENT = [1, 2, 3, 41, 83, 150]
"""Old ones that changed last of all, and nothing was told of that."""


@pytest.fixture
def filled(database_url: str) -> str:
    upgrade(database_url)
    with psycopg.connect(libpq_url(database_url)) as connection:
        connection.execute(_ORDERS, [ORDERS])
        connection.execute(_EVENTS)
        connection.execute(_REVIEWS)
    return database_url


def expected(url: str, status: str | None, limit: int) -> list[str]:
    """Return what a plain reading of the table says."""
    with psycopg.connect(libpq_url(url)) as connection:
        rows = connection.execute(b"SELECT order_id, updated_at, status FROM orders").fetchall()
    chosen = [row for row in rows if status is None or row[2] == status]
    return [row[0] for row in sorted(sorted(chosen), key=lambda row: row[1], reverse=True)][:limit]


def assert_lists_are_right(url: str) -> None:
    for limit in (1, 2, 10, ORDERS - 1, ORDERS, ORDERS + 1):
        for status in (None, *STATUSES):
            with snapshot(url) as connection:
                listed = [row["order_id"] for row in order_list(connection, status, limit)]
            assert listed == expected(url, status, limit), (status, limit)


def test_those_that_changed_last_come_first_those_of_one_moment_by_their_ids(filled: str) -> None:
    assert_lists_are_right(filled)


def test_a_change_of_which_nothing_was_told_is_seen(filled: str) -> None:
    with psycopg.connect(libpq_url(filled)) as connection:
        connection.execute(_TOUCH, [SILENT])
    assert expected(filled, None, 1) == ["order-150"]
    assert_lists_are_right(filled)


def test_without_a_journal_and_with_dead_letters_alone_it_is_the_same(filled: str) -> None:
    with psycopg.connect(libpq_url(filled)) as connection:
        connection.execute(b"UPDATE event SET order_number = NULL, order_id = ''")
    assert_lists_are_right(filled)
    with psycopg.connect(libpq_url(filled)) as connection:
        connection.execute(b"DELETE FROM event")
    assert_lists_are_right(filled)


def test_of_orders_that_wait_for_approval_the_last_ones_are_listed(filled: str) -> None:
    with psycopg.connect(libpq_url(filled)) as connection:
        connection.execute(_ASK)
    for limit in (1, 5, ORDERS):
        with snapshot(filled) as connection:
            listed = order_list(connection, None, limit, approval=True)
        waiting = [name for name in expected(filled, None, ORDERS) if int(name.removeprefix("order-")) % 7 == 0]
        assert [row["order_id"] for row in listed] == waiting[:limit]
        assert {row["asked"] for row in listed} == {"refund approval"}

"""The index for lists of orders: made beside writers, used, free for updates, and only where the server keeps it so."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from outbox.driver.conninfo import libpq_url
from outbox.operators import queries
from outbox.schema import listing
from outbox.schema.listing import FIRST_VERSION, INDEX, keep_list_index
from outbox.schema.migrations import upgrade
from tests.eventually import eventually
from tests.outbox.test_order_list import _EVENTS, _ORDERS

pytestmark = pytest.mark.integration
NEWER = 990_000
"""A version that no server has yet."""
ORDERS = 20_000
LATELY = b"UPDATE orders SET version = version + 1, updated_at = now() WHERE order_number > %s"
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CREATE INDEX%'"
HOT = "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'orders'"


@pytest.fixture
def migrated(database_url: str) -> str:
    upgrade(database_url)
    return database_url


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        yield connection


def state(connection: psycopg.Connection[Any]) -> list[bool]:
    """Return whether the index is valid; nothing if there is none."""
    return [valid for (valid,) in connection.execute(listing._VALID, [INDEX])]


def updates(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return how many rows were updated on their page, writing no other index, and how many in all."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_clear_snapshot()")
    ((on_page, in_all),) = connection.execute(HOT).fetchall()
    return on_page, in_all


def supported(url: str) -> bool:
    with session(url) as connection:
        return connection.info.server_version >= FIRST_VERSION


@pytest.fixture
def new_enough(migrated: str) -> str:
    if not supported(migrated):
        pytest.skip("this PostgreSQL is older than 16")
    return migrated


def test_it_is_made_once_and_dropped_on_a_server_that_cannot_keep_it_for_nothing(new_enough: str) -> None:
    said: list[str] = []
    with session(new_enough) as connection:
        assert [keep_list_index(new_enough, said.append) for _ in range(2)] == [True, True]
        assert (state(connection), len(said)) == ([True], 1)
        assert keep_list_index(new_enough, said.append, first_version=NEWER)
        assert keep_list_index(new_enough, said.append, first_version=NEWER)
        assert (state(connection), len(said)) == ([], 2)


def test_an_older_server_gets_none(migrated: str) -> None:
    with session(migrated) as connection:
        assert keep_list_index(migrated, first_version=NEWER)
        assert state(connection) == []


def test_a_writer_is_waited_for_only_so_long_and_the_next_run_makes_anew_what_was_not_finished(
    new_enough: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOCK_S", 1)
    with session(new_enough) as holder:
        with holder.transaction():
            holder.execute(b"UPDATE orders SET version = 1")
            assert keep_list_index(new_enough) is False, "a writer from before it began is still at work"
        assert state(holder) == [False]
        assert keep_list_index(new_enough)
        assert state(holder) == [True]


def test_while_another_makes_it_nobody_else_does(new_enough: str) -> None:
    with session(new_enough) as other:
        other.execute(listing._ALONE)
        assert keep_list_index(new_enough)
        assert state(other) == []


def test_a_list_takes_it_and_an_update_writes_no_other_index(new_enough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with session(new_enough) as connection:
        connection.execute(_ORDERS, [ORDERS])
        connection.execute(_EVENTS)
        connection.execute("VACUUM FULL orders")
        assert keep_list_index(new_enough)
        connection.execute("VACUUM ANALYZE orders")
        before = updates(connection)
        connection.execute(b"DELETE FROM orders WHERE order_number BETWEEN %s AND %s", [ORDERS - 200, ORDERS - 5])
        connection.execute("VACUUM orders")  # makes room on the last pages
        connection.execute(LATELY, [ORDERS - 5])
        assert [now - then for now, then in zip(updates(connection), before, strict=True)] == [5, 5]

    plans: list[str] = []
    rows_of = queries.rows_of

    def explained(reading: queries.Reading, query: Any, parameters: Any) -> list[queries.Record]:
        plan = reading.execute("EXPLAIN " + query, parameters).fetchall()
        plans.append("\n".join(str(row["QUERY PLAN"]) for row in plan))
        return rows_of(reading, query, parameters)

    monkeypatch.setattr(queries, "rows_of", explained)
    with queries.snapshot(new_enough) as reading:
        listed = [row["order_id"] for row in queries.order_list(reading, None, 5)]
    assert listed == sorted(f"order-{ORDERS - n}" for n in range(5))
    assert INDEX in plans[-1], plans[-1]


def test_who_waits_for_it_while_it_waits_for_them_costs_speed_and_not_the_command(
    new_enough: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOCK_S", 30)
    with session(new_enough) as holder, session(new_enough) as looking, ThreadPoolExecutor(1) as beside:
        made, holder_lost = None, False
        # PostgreSQL ends whoever finds the deadlock first: ours, unless the lock is asked for a second late.
        try:
            with holder.transaction():
                holder.execute(b"UPDATE orders SET version = 1")
                made = beside.submit(keep_list_index, new_enough)
                eventually(lambda: looking.execute(WAITING).fetchall(), "the index waits for the holder")
                holder.execute("LOCK TABLE orders IN SHARE MODE")
                assert made.result() is False
        except psycopg.errors.DeadlockDetected:
            holder_lost = True
        assert made is not None
        assert made.result() is holder_lost
        assert keep_list_index(new_enough)
        assert state(holder) == [True]

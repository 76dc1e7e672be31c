"""Orders have numbers: drawn in blocks, never given twice; the migration gives some to those of an older release."""

from functools import partial
from typing import LiteralString

import psycopg
import pytest
from alembic import command
from psycopg.rows import dict_row

from outbox.driver.connections import Connections
from outbox.driver.engine import engine_for
from outbox.operators.queries import read_order, snapshot
from outbox.schema.mapping import BLOCK
from outbox.schema.migrations import upgrade
from outbox.schema.migrations.run import config
from outbox.store import PostgresStore
from outbox.store.numbers import OrderNumbers, draw_block
from schemas.codec import Codec
from tests.outbox.world import CANCELLED, FAILED, PAID, REVIEWED, Case

TABLES: dict[LiteralString, LiteralString] = {
    "orders": "order_id",
    "attempt": "order_id, attempt",
    "operation": "order_id, attempt, kind, try_number",
    "reservation": "order_id, attempt",
    "event": "id",
}
ADDED = (
    *("order_number", "request_format", "frozen", "request_id", "action_expires_at"),
    *("requests", "paid_at", "preparation_started_at", "disputed", "for_request", "restocked", "extensions"),
    *("confirmed_at", "trace_context"),
)
"""Columns that the first release had not."""
ORDERS = len(PAID) + len(FAILED) + len(CANCELLED) + len(REVIEWED)


class Blocks:
    """A sequence of a test's own, and how often it was asked."""

    def __init__(self) -> None:
        self.drawn = 0

    async def draw(self) -> int:
        self.drawn += 1
        return (self.drawn - 1) * BLOCK + 1


async def test_a_block_is_used_up_before_another_is_drawn() -> None:
    numbers, blocks = OrderNumbers(), Blocks()

    taken = [await numbers.take(count, blocks.draw) for count in (1, BLOCK - 2, 1, 0)]

    assert [n for some in taken for n in some] == list(range(1, BLOCK + 1))
    assert blocks.drawn == 1


async def test_many_orders_take_as_many_blocks_as_they_need() -> None:
    numbers, blocks = OrderNumbers(), Blocks()
    await numbers.take(BLOCK // 2, blocks.draw)

    taken = await numbers.take(2 * BLOCK, blocks.draw)

    assert taken == list(range(BLOCK // 2 + 1, BLOCK // 2 + 2 * BLOCK + 1))
    assert blocks.drawn == 3


@pytest.fixture
def url(case_to_alter: Case) -> str:
    return case_to_alter.url.replace("postgresql://", "postgresql+psycopg://")


def rows_of(case: Case, table: LiteralString) -> list[dict[str, object]]:
    with psycopg.connect(case.url, row_factory=dict_row) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY {TABLES[table]}").fetchall()


def to_revision(url: str, revision: str) -> None:
    engine = engine_for(url)
    with engine.begin() as connection:
        command.downgrade(config(connection), revision)
    engine.dispose()


def without(rows: list[dict[str, object]], *columns: str) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


@pytest.mark.integration
def test_a_database_of_the_release_before_is_numbered_and_loses_nothing(case_to_alter: Case, url: str) -> None:
    before = {table: rows_of(case_to_alter, table) for table in TABLES}
    to_revision(url, "0001")
    older = {table: rows_of(case_to_alter, table) for table in TABLES}
    assert all("order_number" not in row for rows in older.values() for row in rows)
    ours = [row for row in older["event"] if row["header_names"] is None]
    assert ours
    assert all(row["key"] == str(row["order_id"]).encode() for row in ours)

    upgrade(url)

    after = {table: rows_of(case_to_alter, table) for table in TABLES}
    for table in TABLES:
        assert without(after[table], *ADDED, "key") == without(before[table], *ADDED, "key")
        assert without(after[table], *ADDED) == older[table]
    numbers = {row["order_id"]: row["order_number"] for row in after["orders"]} | {"": None}
    by_arrival = sorted(after["orders"], key=lambda row: (row["created_at"], row["order_id"]))
    assert [row["order_number"] for row in by_arrival] == list(range(1, ORDERS + 1))
    for table in ("attempt", "operation", "reservation", "event"):
        assert after[table]
        assert all(row["order_number"] == numbers[row["order_id"]] for row in after[table])


@pytest.mark.integration
async def test_the_pipeline_goes_on_with_numbered_orders(case_to_alter: Case, url: str) -> None:
    with snapshot(url) as connection:
        told = read_order(connection, "retried")
    to_revision(url, "0001")
    upgrade(url)

    report = await case_to_alter.audit()
    with snapshot(url) as connection:
        again = read_order(connection, "retried")
    store = PostgresStore(Connections(case_to_alter.url, 1), Codec().encode)
    async with store.transaction() as transaction:
        orders = await transaction.load([*PAID, *FAILED, *CANCELLED, *REVIEWED])  # type: ignore[list-item]
        drawn = await OrderNumbers().take(1, partial(draw_block, transaction._wire))
    await store.close()

    assert report.holds, report
    assert told is not None
    assert again is not None
    assert [row["event_id"] for row in again.events] == [row["event_id"] for row in told.events]
    assert (len(again.attempts), len(again.operations)) == (len(told.attempts), len(told.operations))
    assert len(orders) == ORDERS
    assert len(orders["retried"].attempts) == 2  # type: ignore[index]
    assert drawn == [ORDERS + 1]

"""A row of the outbox has the messages of a transaction: as few rows as may be, none left out, none there twice."""

from typing import Any

import psycopg
import pytest
from alembic import command

from domain.case import Case
from domain.ids import OrderId
from domain.opening import authorize
from domain.order import Order
from domain.ports.store import Change, Changes, Entry, Receipt
from domain.rules import Context, Rules
from outbox.driver.batches import COPY_FROM
from outbox.driver.engine import engine_for
from outbox.operators.queries import read_order, snapshot
from outbox.schema.migrations import upgrade
from outbox.schema.migrations.run import config
from outbox.store import PostgresStore
from outbox.store.statements import OUTBOX_ROW
from schemas.events import OwnEvent
from tests.outbox.migrated import database_template, store, taking
from tests.schemas import builders

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

ORDERS = 50
EVENTS_EACH = 2 * OUTBOX_ROW // ORDERS + 1


async def write(store: PostgresStore, orders: int, events_each: int, *, few: bool = False) -> list[OrderId]:
    """Write new orders with so many events each, in one transaction."""
    ids = [OrderId(f"order-{n:03}") for n in range(orders)]
    async with taking(store, few=few).transaction() as transaction:
        await transaction.load(ids)
        written: list[Order] = []
        for order_id in ids:
            event = builders.order_confirmed(order_id=order_id)
            order = authorize(Case(None, Context(transaction.now, None, Rules()), "authorize_payment", event)).order  # type: ignore[arg-type]
            assert order is not None
            written.append(order)
        events = [_event(order_id, ordinal) for order_id in ids for ordinal in range(events_each)]
        await transaction.save(Changes(orders=[Change(None, order) for order in written], events=events))
    return ids


def _event(order_id: OrderId, ordinal: int) -> OwnEvent:
    name = builders.event_id(f"{order_id} {ordinal}")
    return builders.payment_authorized(order_id=order_id, event_id=name, ordinal=ordinal)


def rows_of(database_url: str, query: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return connection.execute(query).fetchall()


def unsent(database_url: str) -> list[list[int]]:
    return [ids for (ids,) in rows_of(database_url, "SELECT event_ids FROM outbox ORDER BY id")]


def journal(database_url: str) -> list[int]:
    return [row_id for (row_id,) in rows_of(database_url, "SELECT id FROM event ORDER BY id")]


async def test_a_large_transaction_fills_rows_one_after_the_other(store: PostgresStore, database_url: str) -> None:
    await write(store, ORDERS, EVENTS_EACH)

    rows = unsent(database_url)
    assert [len(ids) for ids in rows] == [OUTBOX_ROW, OUTBOX_ROW, ORDERS]
    assert [i for ids in rows for i in ids] == journal(database_url)


@pytest.mark.parametrize("few", [True, False])
async def test_a_small_transaction_has_one_row_in_the_order_of_its_events(
    store: PostgresStore,
    database_url: str,
    few: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert COPY_FROM > 2
    await write(store, 2, 3, few=few)

    assert unsent(database_url) == [journal(database_url)]
    told = rows_of(database_url, "SELECT order_id, ordinal FROM event ORDER BY id")
    assert told == [(f"order-{n:03}", ordinal) for n in range(2) for ordinal in range(3)]


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("orders", [1, COPY_FROM])
async def test_a_transaction_without_events_leaves_nothing_to_send(
    store: PostgresStore,
    database_url: str,
    orders: int,
    few: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await write(store, orders, 0, few=few)

    assert unsent(database_url) == []


async def test_what_is_sent_again_is_not_in_the_outbox_twice(store: PostgresStore, database_url: str) -> None:
    ids = await write(store, 3, 2)
    every = journal(database_url)
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE outbox SET event_ids = %s", [every[1:2]])

    async with store.transaction() as transaction:
        await transaction.load(ids)
        await transaction.send_again(ids[:2])

    assert unsent(database_url) == [[every[1]], [every[0]], every[2:4]]


async def test_an_order_is_told_which_of_its_messages_are_not_sent_yet(store: PostgresStore, database_url: str) -> None:
    await write(store, 2, 3)
    every = journal(database_url)
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE outbox SET event_ids = %s", [every[1:]])

    with snapshot(database_url) as reading:
        stories = [read_order(reading, f"order-{n:03}") for n in range(2)]

    assert [story and story.unsent for story in stories] == [frozenset(every[1:3]), frozenset(every[3:])]


async def test_what_an_older_release_left_unsent_is_still_to_be_sent_and_goes_first(
    store: PostgresStore, database_url: str
) -> None:
    await write(store, 2, 2)
    every = journal(database_url)
    _downgrade(database_url)
    assert [row_id for (row_id,) in rows_of(database_url, "SELECT id FROM outbox ORDER BY id")] == every

    upgrade(database_url)

    assert unsent(database_url) == [[row_id] for row_id in every]
    async with store.transaction() as transaction:
        await transaction.execute("DELETE FROM outbox WHERE id = %s", [every[0]])
        await transaction.load([OrderId("order-000")])
        await transaction.send_again([OrderId("order-000")])
    assert unsent(database_url) == [*([row_id] for row_id in every[1:]), every[:1]]


async def test_an_inbox_of_an_older_release_still_knows_what_it_knew(store: PostgresStore, database_url: str) -> None:
    async with store.transaction() as transaction:
        await transaction.load([])
        events = [
            builders.payment_authorized(event_id=builders.event_id(name), occurred_at=transaction.now)
            for name in ("a", "b", "new")
        ]
        known = await transaction.receive(Entry("group", events[:2], [1, 2]))
    _downgrade(database_url)

    upgrade(database_url)

    async with store.transaction(contended=True) as transaction:
        again = await transaction.receive(Entry("group", events, [1, 2, 3]))
    assert known == [Receipt.NEW] * 2
    assert again == [Receipt.KNOWN, Receipt.KNOWN, Receipt.NEW]


def _downgrade(database_url: str) -> None:
    engine = engine_for(database_url)
    with engine.begin() as connection:
        command.downgrade(config(connection), "0002")
    engine.dispose()

"""`payments migrate` erases, once, the tokens that older releases left, and leaves those that a call still needs."""

import psycopg
import pytest

from domain.ids import OrderId
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.ports.store import Change, Changes
from domain.values import replace
from outbox.schema.erasing import erase_spent_tokens
from outbox.store import PostgresStore
from tests.domain.builders import AT, attempt, later, operation, order
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

AUTHORIZE = OperationKind.AUTHORIZE
OTHER = b"no token in it"


def named(name: str, status: Status, *states: OperationState, **fields: object) -> Order:
    """Build an order of that name whose authorize stands so; it still has its token."""
    operations = tuple(replace(operation(AUTHORIZE), order_id=OrderId(name), state=state, **fields) for state in states)
    made = order(status, attempt(token="pm_old"), operations=operations, reviewed=None)
    return replace(made, order_id=OrderId(name))


async def write(store: PostgresStore, *orders: Order) -> None:
    for one in orders:
        # Each by itself: their operations have the same id.
        async with store.transaction() as transaction:
            await transaction.load([one.order_id])
            await transaction.save(Changes(orders=[Change(None, one)]))


async def test_tokens_that_no_call_needs_are_erased_once_and_the_others_stay(
    store: PostgresStore, database_url: str
) -> None:
    states = OperationState
    await write(
        store,
        named("under way", Status.CONFIRMED, states.OPEN),
        named("in doubt", Status.CONFIRMED, states.UNKNOWN, unknown_since=AT),
        named("in doubt, asked", Status.MANUAL_REVIEW, states.UNKNOWN, unknown_since=AT, due_at=later(5)),
        named("given up", Status.MANUAL_REVIEW, states.UNKNOWN, unknown_since=AT, due_at=None),
        named("replayed", Status.CONFIRMED, states.UNKNOWN, unknown_since=AT, replayed=True),
        named("at the bank", Status.CONFIRMED, states.PENDING),
        named("decided", Status.PAYMENT_FAILED, states.DECLINED),
        named("paid", Status.PAID_AND_CONFIRMED),
    )
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("UPDATE attempt SET token = 'pm_old'")
        for number, topic, body in (
            (1, "shop.OrderConfirmed.dlt", b"pm_old"),
            (2, "shop.PaymentRetryRequested.dlt", b"pm_old"),
            (3, "shop.PaymentFailed.dlt", OTHER),
            (4, "shop.OrderConfirmed.dlt", b"pm_old, to be sent"),
        ):
            connection.execute(
                """INSERT INTO event (id, event_id, order_id, order_version, ordinal, topic, body, occurred_at)
                   OVERRIDING SYSTEM VALUE VALUES (%s, gen_random_uuid(), '', 0, 0, %s, %s, now())""",
                [number, topic, body],
            )
        connection.execute("INSERT INTO outbox (event_ids) VALUES (ARRAY[4])")

        assert erase_spent_tokens(database_url) == 7

        left = connection.execute("SELECT order_id FROM attempt WHERE token IS NOT NULL ORDER BY 1").fetchall()
        assert left == [("in doubt",), ("in doubt, asked",), ("under way",)]
        bodies: dict[int, bytes] = dict(connection.execute("SELECT id, body FROM event").fetchall())
        assert bodies == {1: b"", 2: b"", 3: OTHER, 4: b"pm_old, to be sent"}
        connection.execute("UPDATE attempt SET token = 'pm_new'")
        assert erase_spent_tokens(database_url) == 0, "it is done once"


async def test_a_row_that_somebody_holds_is_passed_over(store: PostgresStore, database_url: str) -> None:
    await write(store, named("held", Status.PAID_AND_CONFIRMED), named("free", Status.PAID_AND_CONFIRMED))
    url = database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url) as other:
        connection.execute("UPDATE attempt SET token = 'pm_old'")
        other.execute("SELECT FROM attempt WHERE order_id = 'held' FOR UPDATE")
        assert erase_spent_tokens(database_url) == 1
        found = connection.execute("SELECT order_id FROM attempt WHERE token IS NOT NULL").fetchall()
        assert found == [("held",)]

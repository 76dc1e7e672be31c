"""`payments migrate` counts disputes anew, once: one of an older attempt no longer keeps an order from refunds."""

import psycopg
import pytest

from domain.disputing import KnownDispute
from domain.ids import OrderId
from domain.order import Order, Status
from domain.ports.store import Change, Changes
from domain.values import replace
from outbox.schema.undisputing import count_disputes_anew
from outbox.store import PostgresStore
from tests.domain.builders import AT, attempt, captured, order
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration


def paid(name: str) -> Order:
    """Build an order that its second attempt paid, and that counts as disputed."""
    made = order(Status.PAID_AND_CONFIRMED, attempt(), captured(2), disputed=True)
    return replace(made, order_id=OrderId(name))


def dispute(number: int, *, refundable: bool = False) -> KnownDispute:
    return KnownDispute(
        f"dp_{number}", number, AT, "needs_response", 100, "EUR", "fraudulent", True, refundable, None, AT, "OPEN"
    )


async def write(store: PostgresStore, name: str, *disputes: KnownDispute) -> None:
    async with store.transaction() as transaction:
        await transaction.load([OrderId(name)])
        changes = Changes(orders=[Change(None, paid(name))], disputes=[(OrderId(name), d) for d in disputes])
        await transaction.save(changes)


def disputed(connection: psycopg.Connection[tuple[str, ...]]) -> list[str]:
    return [name for (name,) in connection.execute("SELECT order_id FROM orders WHERE disputed ORDER BY 1")]


async def test_an_order_of_which_only_an_older_attempt_is_disputed_may_be_refunded_again(
    store: PostgresStore, database_url: str
) -> None:
    await write(store, "of the older", dispute(1))
    await write(store, "of both", dispute(1), dispute(2))
    await write(store, "of the one that paid", dispute(2))
    await write(store, "refundable", dispute(2, refundable=True))
    await write(store, "nobody knows why")
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        assert count_disputes_anew(database_url) == (2, 0)
        assert disputed(connection) == ["nobody knows why", "of both", "of the one that paid"]
        connection.execute("UPDATE orders SET disputed = true")
        assert count_disputes_anew(database_url) == (0, 0), "it is done once"


async def test_an_order_that_somebody_holds_is_left_to_the_next_run(store: PostgresStore, database_url: str) -> None:
    await write(store, "held", dispute(1))
    await write(store, "free", dispute(1))
    url = database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        with psycopg.connect(url) as other:
            other.execute("SELECT FROM orders WHERE order_id = 'held' FOR UPDATE")
            assert count_disputes_anew(database_url) == (1, 1)
        assert disputed(connection) == ["held"]
        assert count_disputes_anew(database_url) == (1, 0)
        assert disputed(connection) == []


async def test_many_are_mended_a_slice_at_a_time(store: PostgresStore, database_url: str) -> None:
    for number in range(5):
        await write(store, f"order {number}", dispute(1))
    assert count_disputes_anew(database_url, slice_orders=2) == (5, 0)

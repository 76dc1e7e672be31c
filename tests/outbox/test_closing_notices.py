"""An operator closes what the gateway told and what cannot be booked; what may still be booked stays."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from domain.ids import OrderId
from domain.notices import RING_AFTER, Fate, Notice
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.ports.notices import Answered
from domain.ports.store import Change, Changes
from domain.values import replace
from outbox.operators.closing_notices import Closed, close_notices
from outbox.store import PostgresStore
from tests.domain.builders import AT, captured, operation, order
from tests.outbox.migrated import database_template, store

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration

NAME = "order-1"


async def told(store: PostgresStore, url: str, known: Order | None, age: timedelta = RING_AFTER) -> None:
    """Have an order, and a notice of this age about it that the gateway is asked about."""
    if known is not None:
        async with store.transaction() as transaction:
            await transaction.load([known.order_id])
            await transaction.save(Changes(orders=[Change(None, known)]))
    await store.notices.keep([Notice("evt_1", "refund.updated", AT, "re_1", "pi_1", None, None)])
    values = [NAME, age]
    execute(url, "UPDATE gateway_notice SET order_id = %s, fate = 'kept', received_at = now() - %s", values)


def execute(url: str, statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def fate(url: str) -> str:
    ((found,),) = execute(url, "SELECT fate FROM gateway_notice")
    return str(found)


def paid(*states: OperationState, kind: OperationKind = OperationKind.REFUND) -> Order:
    under_way = tuple(operation(kind, state=state) for state in states)
    return order(Status.PAID_AND_CONFIRMED, captured(), operations=under_way)


async def test_what_led_nowhere_for_a_day_is_closed_and_who_said_so_is_kept(
    store: PostgresStore, database_url: str
) -> None:
    await told(store, database_url, paid())
    assert close_notices(database_url, NAME, "paid by hand", "alice") == [
        Closed("evt_1", "refund.updated", "re_1", "pi_1")
    ]
    said = execute(database_url, "SELECT order_id, review_reason, word, reference, reason, by FROM resolution")
    assert said == [(NAME, "notice_kept", "closed", "re_1", "paid by hand", "alice")]
    assert await store.notices.claim_kept(10, 60) == []
    assert "no notice" in str(close_notices(database_url, NAME, "again", "alice"))


async def test_a_question_that_is_under_way_does_not_open_it_again(store: PostgresStore, database_url: str) -> None:
    await told(store, database_url, paid())
    (asked,) = await store.notices.claim_kept(10, 60)
    close_notices(database_url, NAME, "paid by hand", "alice")
    await store.notices.note_answers([Answered("evt_1", Fate.KEPT, OrderId(NAME), asked.now)])
    assert fate(database_url) == "known"


@pytest.mark.parametrize(
    ("known", "age", "why"),
    [
        (None, RING_AFTER, "no order"),
        (replace(paid(), status=Status.MANUAL_REVIEW, reviewed=Status.PAID_AND_CONFIRMED), RING_AFTER, "under review"),
        (paid(OperationState.UNKNOWN), RING_AFTER, "a refund of order order-1 is under way"),
        (paid(OperationState.PENDING, kind=OperationKind.VOID), RING_AFTER, "a void of order order-1 is under way"),
        (paid(), RING_AFTER - timedelta(hours=1), "no notice that has led nowhere for a day"),
    ],
)
async def test_what_may_still_be_booked_stays(
    store: PostgresStore, database_url: str, known: Order | None, age: timedelta, why: str
) -> None:
    await told(store, database_url, known, age)
    assert why in str(close_notices(database_url, NAME, "paid by hand", "alice"))
    assert fate(database_url) == "kept"
    assert execute(database_url, "SELECT FROM resolution") == []


async def test_a_pending_refund_keeps_nothing_open(store: PostgresStore, database_url: str) -> None:
    await told(store, database_url, paid(OperationState.PENDING))
    assert len(close_notices(database_url, NAME, "paid by hand", "alice")) == 1

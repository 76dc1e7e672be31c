"""What a take-over makes of messages that nobody should have written, and of what it cannot explain."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg
import pytest

from consumers.reactions import BY_TRIGGER
from deploy.running import now
from domain.dead_letter import DeadLetter
from domain.decision import event_id
from domain.ids import EventId, OrderId
from domain.operation import OperationState
from domain.ports.store import Changes
from outbox.driver.conninfo import libpq_url
from outbox.operators.taking_over import Name, processed
from schemas.events import OrderConfirmed, PaymentAuthorized, PaymentFailed
from schemas.rejection import Reason
from tests.deploy.applying import CODEC, applied, kept, rows, storing
from tests.schemas import builders
from tests.servers.databases import fresh_database

pytestmark = pytest.mark.integration
GROUP: Final = BY_TRIGGER[OrderConfirmed.TYPE].group
END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
OPERATIONS: Final = """
    SELECT o.order_id, kind, state, opened_at, due_at FROM operation JOIN orders o USING (order_number)"""


@pytest.fixture
def url(database_server_url: str, migrated_database: str) -> Iterator[str]:
    with fresh_database(database_server_url, migrated_database) as made:
        yield libpq_url(made)


def confirmed(order_id: str, at: datetime) -> OrderConfirmed:
    return builders.order_confirmed(order_id=order_id, occurred_at=at)


def ours(order_id: str, event_type: str, version: int, ordinal: int = 0) -> UUID:
    return event_id(OrderId(order_id), version, ordinal, event_type)


def authorized(order: OrderConfirmed, **other: object) -> PaymentAuthorized:
    """Return what is said of the order when its payment was authorized."""
    fields: dict[str, object] = {
        "event_id": ours(order.order_id, PaymentAuthorized.TYPE, 1),
        "order_id": order.order_id,
        "order_version": 1,
        "occurred_at": order.occurred_at + timedelta(seconds=1),
        "causation_id": order.event_id,
        "correlation_id": order.correlation_id,
        "amount_minor": order.total_minor,
        "authorization_expires_at": None,
    }
    return builders.payment_authorized(**(fields | other))


def failed(order: OrderConfirmed) -> PaymentFailed:
    return builders.payment_failed(
        event_id=ours(order.order_id, PaymentFailed.TYPE, 1),
        order_id=order.order_id,
        order_version=1,
        occurred_at=order.occurred_at + timedelta(seconds=1),
        causation_id=order.event_id,
        correlation_id=order.correlation_id,
        amount_minor=order.total_minor,
    )


def letter_of(order: OrderConfirmed) -> DeadLetter:
    """Return the letter of an order that was refused before a decision: it has no inbox row."""
    return DeadLetter(
        group=GROUP,
        topic=order.TYPE,
        partition=0,
        offset=7,
        timestamp_ms=0,
        key=order.order_id.encode(),
        body=CODEC.encode(order),
        headers=(),
        masked=False,
        reason=Reason.FROM_THE_FUTURE,
        detail="occurred_at lies in the future",
        event_id=EventId(order.event_id),
        order_id=OrderId(order.order_id),
    )


@pytest.mark.parametrize("at", [now() + timedelta(hours=1), now() + timedelta(days=400), END])
async def test_an_order_from_the_future_is_refused_again_and_never_charged(url: str, at: datetime) -> None:
    good = confirmed("good", now() - timedelta(minutes=5))

    done = await applied(url, [kept(confirmed("future", at))], [kept(good)])

    assert done.left == []
    assert await rows(url, "SELECT order_id FROM orders") == [("good",)]


async def test_a_time_stamp_of_the_future_makes_no_key_younger(url: str) -> None:
    long_ago = now() - timedelta(hours=30)

    await applied(url, [kept(confirmed("order-1", long_ago), at=datetime(2090, 1, 1, tzinfo=UTC))])

    assert [(kind, state, opened_at) for _, kind, state, opened_at, _ in await rows(url, OPERATIONS)] == [
        ("authorize", OperationState.UNKNOWN, long_ago)
    ]


async def test_nothing_is_called_for_an_order_that_could_not_be_taken_over(url: str) -> None:
    order = confirmed("order-1", now() - timedelta(minutes=5))
    await applied(url, [kept(order)])
    assert [state for _, _, state, _, due_at in await rows(url, OPERATIONS) if due_at is not None] == ["unknown"]

    for _ in range(2):
        done = await applied(url, [kept(authorized(order, amount_minor=order.total_minor + 1))])

        assert [one.order_id for one in done.left] == ["order-1"]
        assert [due_at for *_, due_at in await rows(url, OPERATIONS)] == [None]
        kinds = await rows(url, "SELECT kind FROM quarantine WHERE released_at IS NULL ORDER BY 1")
        assert kinds == [("operation",), ("order",)]


async def test_two_decisions_in_one_place_are_not_taken_over(url: str) -> None:
    order = confirmed("order-1", now() - timedelta(minutes=5))
    one, other = kept(authorized(order)), kept(failed(order))
    assert (await applied(url, [kept(order), one])).left == []

    fresh = confirmed("order-2", order.occurred_at)
    done = await applied(url, [kept(fresh), kept(authorized(fresh)), kept(failed(fresh))])

    assert [one.order_id for one in done.left] == ["order-2"]
    assert other.told


async def test_an_order_that_raises_stops_no_other(url: str) -> None:
    odd, good = (confirmed(name, now() - timedelta(minutes=5)) for name in ("odd", "good"))

    done = await applied(url, [kept(odd), kept(authorized(odd, occurred_at=END))], [kept(good), kept(authorized(good))])

    assert [(one.order_id, one.version) for one in done.left] == [("odd", 0)]
    assert await rows(url, "SELECT order_id, version FROM orders") == [("good", 1)]


async def test_what_is_left_to_be_read_again_says_since_when(url: str) -> None:
    late, later = now() - timedelta(hours=3), now() - timedelta(hours=2)
    order = confirmed("order-1", now() - timedelta(minutes=5))
    refund = builders.refund_requested(order_id="unknown", occurred_at=late)
    messages = [
        [kept(order)],
        [kept(refund, at=later)],
        [kept(builders.refund_requested(order_id="unread", occurred_at=late), consumed=False)],
    ]

    done = await applied(url, *messages)

    assert done.unread_since == int(later.timestamp() * 1_000)
    assert (await applied(url, [kept(confirmed("order-2", order.occurred_at))])).unread_since is None


async def test_a_message_that_was_refused_before_the_backup_is_not_acted_upon(url: str) -> None:
    refused = confirmed("order-1", now() - timedelta(hours=1))
    other = confirmed("order-2", refused.occurred_at)
    names = [Name(one.event_id, GROUP, one.occurred_at.date()) for one in (refused, other)]
    async with storing(url) as store, store.transaction(contended=True) as transaction:
        await transaction.load([])
        await transaction.save(Changes(dead_letters=[letter_of(refused)]))

    async with await psycopg.AsyncConnection.connect(url) as connection:
        assert await processed(connection, names) == {(refused.event_id, GROUP)}

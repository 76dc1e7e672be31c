"""The table of messages: claimed once, settled under the lease, and what operators do to it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest

from domain.decision import Notification
from domain.ids import EventId
from domain.messages import Message, MessageState, Never, NotNow, Sent, Settled, settle
from domain.outcome import Missing
from domain.ports.store import Changes
from outbox.driver.connections import Connections
from outbox.operators.messages import Wanted, message_list, retry_messages
from outbox.operators.queries import Record, snapshot
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.messages.builders import KEY, notification
from tests.outbox.migrated import database_template, taking

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

LEASE_S = 60.0


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - upstream's clock


def key(number: int) -> EventId:
    return EventId(uuid5(KEY, str(number)))


def fresh(number: int = 0, **overrides: Any) -> Notification:
    at = now()
    fields = {"key": key(number), "order_id": f"order-{number}", "occurred_at": at}
    return notification(**fields | {"send_until": at + timedelta(days=1)} | overrides)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(database_url.replace("+psycopg", ""), 3), Codec().encode, send_messages=True)
    await made.maintain()
    yield made
    await made.close()


async def record(store: PostgresStore, *notifications: Notification) -> None:
    async with store.transaction() as transaction:
        await transaction.load([])
        await transaction.save(Changes(notifications=list(notifications)))


async def rows(database_url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []


def listed(database_url: str, wanted: Wanted = Wanted()) -> list[Record]:  # noqa: B008 - frozen
    with snapshot(database_url) as connection:
        return message_list(connection, wanted, None)


def states(database_url: str) -> dict[str, str]:
    return {record["order_id"]: record["state"] for record in listed(database_url)}


@pytest.mark.parametrize("few", [True, False])
async def test_what_is_recorded_is_claimed_as_it_was(store: PostgresStore, *, few: bool) -> None:
    whole = fresh(1, missing=(Missing("SKU-1", 2, 1), Missing("SKU-2", 1, None)))
    bare = fresh(2, failure_code=None, text="", retryable=False, retry_until=None)
    await record(taking(store, few=few), whole, bare)
    claimed = await store.messages.claim(10, LEASE_S)
    assert sorted((m.notification for m in claimed), key=lambda n: n.order_id) == [whole, bare]
    for message in claimed:
        assert message.tries == 0
        assert message.lease - message.at == timedelta(seconds=LEASE_S)
    assert await store.messages.claim(10, LEASE_S) == []


async def test_the_same_event_twice_is_one_message(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    await record(store, fresh(1))
    assert await rows(database_url, "SELECT count(*) FROM message") == [(1,)]


async def test_a_stale_one_is_recorded_and_not_sent(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1, stale=True))
    assert await store.messages.claim(10, LEASE_S) == []
    assert states(database_url) == {"order-1": "stale"}


async def test_without_a_messenger_nothing_waits(database_url: str) -> None:
    store = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    await record(store, fresh(1))
    await store.close()
    assert await rows(database_url, "SELECT count(*) FROM message") == [(0,)]
    assert states(database_url) == {"order-1": "logged"}


async def test_rivals_share_the_messages_between_them(store: PostgresStore) -> None:
    await record(store, *(fresh(n) for n in range(100)))
    claims = await asyncio.gather(*(store.messages.claim(7, LEASE_S) for _ in range(20)))
    keys = [message.notification.key for claim in claims for message in claim]
    assert len(keys) == len(set(keys)) == 100


async def claim_one(store: PostgresStore) -> Message:
    (message,) = await store.messages.claim(1, LEASE_S)
    return message


async def end_leases(database_url: str) -> None:
    await rows(database_url, "UPDATE message SET due_at = now() WHERE due_at > now()")


async def test_a_message_that_was_sent_is_in_the_record_for_good(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    message = await claim_one(store)
    assert await store.messages.settle([settle(message, Sent(), message.at)]) == 1
    assert states(database_url) == {"order-1": "sent"}
    await rows(database_url, "UPDATE message SET settled_at = now() - interval '15 days'")
    assert await store.messages.forget_old(10) == 1
    (record_,) = listed(database_url)
    assert (record_["state"], record_["sent_at"] is not None, record_["tries"]) == ("sent", True, 0)
    await end_leases(database_url)
    assert await store.messages.claim(10, LEASE_S) == []


async def test_what_was_given_up_is_kept_for_the_operator(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    message = await claim_one(store)
    await store.messages.settle([settle(message, Never("RCPT: SMTP 550"), message.at)])
    await rows(database_url, "UPDATE message SET settled_at = now() - interval '15 days'")
    assert await store.messages.forget_old(10) == 0
    (record_,) = listed(database_url, Wanted(state="given_up"))
    assert (record_["state"], record_["error"], record_["tries"]) == ("given_up", "RCPT: SMTP 550", 1)


async def test_a_refusal_under_a_lost_lease_changes_nothing(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    late = await claim_one(store)
    await end_leases(database_url)
    current = await claim_one(store)
    assert await store.messages.settle([settle(late, Never("RCPT: SMTP 550"), late.at)]) == 0
    assert await store.messages.settle([settle(late, NotNow("busy"), late.at)]) == 0
    assert await rows(database_url, "SELECT state, due_at FROM message") == [("waiting", current.lease)]


async def test_a_late_word_that_it_was_sent_counts(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    late = await claim_one(store)
    await end_leases(database_url)
    current = await claim_one(store)
    assert await store.messages.settle([settle(late, Sent(), late.at)]) == 1
    assert await store.messages.settle([settle(current, Never("busy"), current.at)]) == 0
    assert await store.messages.settle([settle(current, Sent(), current.at)]) == 0
    assert states(database_url) == {"order-1": "sent"}


async def test_what_is_given_back_is_due_at_once(store: PostgresStore) -> None:
    await record(store, fresh(1))
    await store.messages.give_back([await claim_one(store)])
    assert len(await store.messages.claim(1, LEASE_S)) == 1


async def test_one_that_went_stale_while_it_waited_says_so(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1))
    message = await claim_one(store)
    await store.messages.settle([Settled(message.notification.key, message.lease, MessageState.STALE, 0)])
    assert states(database_url) == {"order-1": "stale"}
    assert await rows(database_url, "SELECT stale FROM notification") == [(True,)]


async def retry(database_url: str, ids: list[UUID] | None) -> set[UUID]:
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await retry_messages(connection, ids, "the server is back", "ada", 86_400)


async def test_an_operator_has_tried_again_what_was_given_up(store: PostgresStore, database_url: str) -> None:
    await record(store, *(fresh(n, send_until=now() - timedelta(days=1)) for n in range(4)))
    for message in await store.messages.claim(10, LEASE_S):
        number = int(message.notification.order_id[-1])
        state = (MessageState.GIVEN_UP, MessageState.STALE, MessageState.SENT, MessageState.WAITING)[number]
        again_at = message.lease if state is MessageState.WAITING else None
        await store.messages.settle([Settled(message.notification.key, message.lease, state, 3, again_at)])
    assert await retry(database_url, [key(n) for n in range(4)]) == {key(0), key(1)}
    assert states(database_url) == {
        "order-0": "waiting", "order-1": "waiting", "order-2": "sent", "order-3": "waiting",
    }  # fmt: skip
    claimed = await store.messages.claim(10, LEASE_S)
    assert {m.notification.key for m in claimed} == {key(0), key(1)}
    assert all(m.tries == 0 and m.send_until > m.at for m in claimed)
    said = {(record["by"], record["reason"]) for record in listed(database_url) if record["by"] is not None}
    assert said == {("ada", "the server is back")}


async def test_all_given_up_leaves_stale_ones_alone(store: PostgresStore, database_url: str) -> None:
    await record(store, fresh(1), fresh(2))
    for message in await store.messages.claim(10, LEASE_S):
        stale = message.notification.order_id == "order-1"
        state = MessageState.STALE if stale else MessageState.GIVEN_UP
        await store.messages.settle([Settled(message.notification.key, message.lease, state, 0)])
    assert await retry(database_url, None) == {key(2)}


async def test_notifications_of_an_older_release_are_listed_and_never_sent(
    store: PostgresStore, database_url: str
) -> None:
    await rows(
        database_url,
        "INSERT INTO notification (event_id, order_id, customer_id, kind, text, occurred_at, stale) "
        "VALUES (%s, 'order-1', 'customer-1', 'REFUNDED', '', now(), false)",
        key(1),
    )
    assert await store.messages.claim(10, LEASE_S) == []
    assert states(database_url) == {"order-1": "logged"}

"""What the inbox says of events: new, known, too old; and what a repeated one does to a batch that expects none."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from domain.errors import Contended
from domain.ports.store import Entry, Receipt
from outbox.store import PostgresStore
from outbox.store import postgres as stores
from schemas.events import Event
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.migrated import database_template, store, taking
from tests.schemas.builders import order_confirmed

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration
FEW_OR_MANY = pytest.mark.parametrize("few", [True, False])
AT_ONCE_OR_NOT = pytest.mark.parametrize("at_once", [True, False])
NEW, KNOWN, TOO_OLD, CONFLICT = Receipt.NEW, Receipt.KNOWN, Receipt.TOO_OLD, Receipt.CONFLICT


def event(number: int, *, days_ago: int = 0) -> Event:
    today = datetime.now(UTC)  # noqa: TID251 - partitions are made for the days around today
    return order_confirmed(event_id=UUID(int=number), occurred_at=today - timedelta(days=days_ago))


async def receive(
    store: PostgresStore,
    events: Sequence[Event],
    *,
    few: bool,
    group: str = "a",
    contended: bool = False,
    contents: Sequence[int] = (),
    at_once: bool = False,
) -> list[Receipt]:
    """Receive these events; at_once: their rows go with the locks, in a round trip."""
    entry = Entry(group, events, contents or [0] * len(events))
    async with taking(store, few=few).transaction(contended=contended) as transaction:
        await transaction.load([], entry=entry if at_once else None)
        return list(await transaction.receive(entry))


@FEW_OR_MANY
async def test_new_events_are_new_to_each_group(store: PostgresStore, *, few: bool) -> None:
    events = [event(3), event(1), event(2)]
    assert await receive(store, events, few=few) == [NEW, NEW, NEW]
    assert await receive(store, events, few=few, group="b") == [NEW, NEW, NEW]


async def test_a_repeated_event_loses_the_race_once_and_is_known_from_then_on(store: PostgresStore) -> None:
    await receive(store, [event(1)], few=False)

    with pytest.raises(Contended, match="inbox"):
        await receive(store, [event(2), event(1)], few=False)

    assert await receive(store, [event(2), event(1)], few=False) == [NEW, KNOWN]
    assert await receive(store, [event(3), event(2), event(1)], few=False) == [NEW, KNOWN, KNOWN]


async def test_among_few_a_repeated_event_is_known_at_once(store: PostgresStore) -> None:
    """A failure would come only with the commit, behind whatever has been decided by then."""
    await receive(store, [event(1)], few=True)
    assert await receive(store, [event(2), event(1)], few=True) == [NEW, KNOWN]


@FEW_OR_MANY
async def test_who_has_lost_a_race_expects_repeated_events(store: PostgresStore, *, few: bool) -> None:
    await receive(store, [event(1)], few=few)
    assert await receive(store, [event(1), event(2)], few=few, contended=True) == [KNOWN, NEW]


async def test_repeated_events_are_expected_no_longer_when_none_comes(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "REPEATS", 2)
    await receive(store, [event(1)], few=False)
    with pytest.raises(Contended):
        await receive(store, [event(1)], few=False)
    assert [await receive(store, [event(1)], few=False) for _ in range(2)] == [[KNOWN], [KNOWN]]

    with pytest.raises(Contended):
        await receive(store, [event(1)], few=False)


@AT_ONCE_OR_NOT
@FEW_OR_MANY
async def test_of_an_event_twice_in_a_batch_the_second_is_known(
    store: PostgresStore, *, few: bool, at_once: bool
) -> None:
    old = event(9, days_ago=100)
    events = [event(1), event(1), old, event(2), old]
    assert await receive(store, events, few=few, at_once=at_once) == [NEW, KNOWN, TOO_OLD, NEW, KNOWN]


async def test_with_the_locks_a_repeated_event_is_known_among_few_and_else_loses_the_race(store: PostgresStore) -> None:
    await receive(store, [event(1), event(2)], few=True, at_once=True, contents=[A, A])
    again = [event(2), event(3), event(1)]
    assert await receive(store, again, few=True, at_once=True, contents=[A, A, B]) == [KNOWN, NEW, CONFLICT]
    with pytest.raises(Contended, match="inbox"):
        await receive(store, [event(4), event(3)], few=False, at_once=True)
    expected = [NEW, KNOWN]
    assert await receive(store, [event(4), event(3)], few=False, at_once=True, contents=[A, A]) == expected


async def test_events_that_entered_with_the_locks_and_are_not_received_lose_the_race(
    store: PostgresStore, database_url: str
) -> None:
    """Otherwise the inbox would know of an event that nobody decided on."""

    async def receive_fewer() -> None:
        async with store.transaction() as transaction:
            await transaction.load([], entry=Entry("a", [event(1), event(2)], [A, A]))
            await transaction.receive(Entry("a", [event(1)], [A]))

    with pytest.raises(Contended, match="other events"):
        await receive_fewer()
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (0,)


@AT_ONCE_OR_NOT
@FEW_OR_MANY
async def test_what_is_too_old_leaves_no_row(
    store: PostgresStore, database_url: str, *, few: bool, at_once: bool
) -> None:
    assert await receive(store, [event(1, days_ago=100)], few=few, at_once=at_once) == [TOO_OLD]
    assert await receive(store, [], few=few, at_once=at_once) == []
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (0,)


A, B, LARGEST, SMALLEST = 1, 2, 2**63 - 1, -(2**63)


@FEW_OR_MANY
async def test_other_content_under_a_known_id_is_a_conflict_and_the_same_is_known(
    store: PostgresStore, *, few: bool
) -> None:
    events = [event(1), event(2)]
    assert await receive(store, events, few=few, contents=[A, SMALLEST]) == [NEW, NEW]
    assert await receive(store, events, few=few, contended=True, contents=[B, SMALLEST]) == [CONFLICT, KNOWN]
    assert await receive(store, events, few=few, contended=True, contents=[A, LARGEST]) == [KNOWN, CONFLICT]


@FEW_OR_MANY
async def test_within_a_batch_the_first_of_an_id_is_what_the_inbox_says(store: PostgresStore, *, few: bool) -> None:
    events = [event(1), event(1), event(1), event(2)]
    assert await receive(store, events, few=few, contents=[A, B, A, B]) == [NEW, CONFLICT, KNOWN, NEW]
    assert await receive(store, events, few=few, contended=True, contents=[B, A, B, B]) == [
        CONFLICT,
        KNOWN,
        CONFLICT,
        KNOWN,
    ]


@FEW_OR_MANY
async def test_a_row_from_before_contents_were_kept_counts_as_the_same(
    store: PostgresStore, database_url: str, *, few: bool
) -> None:
    await receive(store, [event(1)], few=few, contents=[A])
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE inbox SET content = NULL")
    assert await receive(store, [event(1)], few=few, contended=True, contents=[B]) == [KNOWN]


@FEW_OR_MANY
async def test_contents_are_compared_within_a_day(store: PostgresStore, *, few: bool) -> None:
    events = [event(1), event(1, days_ago=1), event(1, days_ago=100), event(1, days_ago=100)]
    assert await receive(store, events, few=few, contents=[A, B, B, A]) == [NEW, NEW, TOO_OLD, CONFLICT]
    assert await receive(store, events[:2], few=few, contended=True, contents=[A, B]) == [KNOWN, KNOWN]


async def test_of_two_processes_that_meet_the_loser_of_the_race_sees_the_conflict(store: PostgresStore) -> None:
    entered = asyncio.Event()

    async def first() -> list[Receipt]:
        async with store.transaction() as transaction:
            receipts = list(await transaction.receive(Entry("a", [event(1)], [A])))
            entered.set()
            await until_it_blocks_somebody(await transaction.plain())
            return receipts

    async def second() -> list[Receipt]:
        await entered.wait()
        with pytest.raises(Contended, match="inbox"):
            await receive(store, [event(1)], few=False, contents=[B])
        return await receive(store, [event(1)], few=False, contended=True, contents=[B])

    of_first, of_second = await asyncio.gather(first(), second())
    assert (of_first, of_second) == ([NEW], [CONFLICT])

"""Events that are sent once more: each is in the outbox once, and those of a topic are in the order of the journal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from outbox.driver.conninfo import connect
from outbox.operators import republishing
from outbox.operators.republishing import Window, republish
from tests.outbox.migrated import database_template

__all__ = ["database_template"]

pytestmark = pytest.mark.integration

AT = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = 24
_FILL = """
    INSERT INTO event (event_id, order_id, order_version, ordinal, topic, body, occurred_at)
    SELECT gen_random_uuid(), 'order', n, 0, CASE WHEN n %% 2 = 1 THEN 't.Lost' ELSE 't.Kept' END, '',
           %s + interval '1 hour' * n FROM generate_series(1, %s) n"""


async def rows(connection: psycopg.AsyncConnection[Any]) -> list[list[int]]:
    found = await (await connection.execute("SELECT event_ids FROM outbox ORDER BY id")).fetchall()
    return [ids for (ids,) in found]


def flat(found: Sequence[Sequence[int]]) -> list[int]:
    return [number for ids in found for number in ids]


@pytest.mark.parametrize("batch", [1, 5, 1_000])
async def test_what_waits_is_sent_once_and_behind_what_came_before_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(republishing, "BATCH", batch)
    counts: list[int] = []
    async with await connect(database_url, name="test", autocommit=True) as connection:
        await connection.execute(_FILL, [AT, COUNT])
        # A row with both topics, one with the lost one alone; event 3 is older than the window, 19 and 23 are younger.
        for waiting in ([3, 4], [11, 19], [18, 20, 23]):
            await connection.execute("INSERT INTO outbox (event_ids) VALUES (%s)", [waiting])
        before = await rows(connection)
        window = Window(["t.Lost"], AT + timedelta(hours=9), AT + timedelta(hours=17))
        wanted = [3, 9, 11, 13, 15, 19, 23]
        dry = await republish(connection, window, counts.append, dry_run=True)
        assert await rows(connection) == before
        assert dry == {"t.Lost": len(wanted)}
        for _ in range(2):
            assert await republish(connection, window, counts.append, dry_run=False) == dry
            found = await rows(connection)
            assert found[:2] == [[4], [18, 20]], "what waits for other topics stays where it is"
            assert flat(found[2:]) == wanted
    assert counts[-1] == len(wanted)


async def test_decision_that_is_open_meanwhile_has_its_events_behind(database_url: str) -> None:
    async with (
        await connect(database_url, name="test", autocommit=True) as connection,
        await connect(database_url, name="decision") as decision,
    ):
        await connection.execute(_FILL, [AT, COUNT])
        await decision.execute("INSERT INTO outbox (event_ids) VALUES ('{24}')")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await republish_with_short_wait(connection)
        await decision.commit()
        await republish_with_short_wait(connection)
        assert flat(await rows(connection)) == [24, *range(1, COUNT, 2)]


async def republish_with_short_wait(connection: psycopg.AsyncConnection[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(republishing, "LOCK_WAIT", "100ms")
        await republish(connection, Window(["t.Lost"], AT, None), lambda _: None, dry_run=False)

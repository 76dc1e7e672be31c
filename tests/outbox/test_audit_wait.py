"""Waiting for quiescence ends when nothing is under way, in database and topics, or when the time is over."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from outbox.audit import wait_until_quiet
from tests.outbox.world import Case

pytestmark = pytest.mark.integration

WAITING = "INSERT INTO outbox (event_ids) SELECT ARRAY[min(id)] FROM event"


async def test_a_pipeline_at_rest_is_not_waited_for(case: Case) -> None:
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        assert await wait_until_quiet(connection, case.world.scope, 0)


async def test_waiting_ends_with_what_was_under_way_and_tells_what_it_was(case: Case) -> None:
    await case.run(WAITING)
    told: asyncio.Queue[str] = asyncio.Queue()
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        waiting = asyncio.create_task(wait_until_quiet(connection, case.world.scope, 20, progress=told.put_nowait))
        assert await told.get() == "1 message is still to be sent"
        await case.run("DELETE FROM outbox")
        assert await waiting
    assert told.empty()


async def test_waiting_in_vain_ends_when_the_time_is_over(case: Case) -> None:
    await case.run(WAITING)
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        assert not await wait_until_quiet(connection, case.world.scope, 0.3)


async def test_what_the_relay_holds_behind_a_message_in_quarantine_is_no_unrest(case: Case) -> None:
    of_one = "SELECT min(id) FROM event WHERE order_id = 'paid' AND topic = 'world.ItemsReserved'"
    await case.run(f"INSERT INTO outbox (event_ids) SELECT ARRAY[({of_one})]")
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        assert not await wait_until_quiet(connection, case.world.scope, 0)
        await case.run(
            "INSERT INTO quarantine (kind, order_id, message_id, detail, trace) "
            f"SELECT 'message', 'paid', ({of_one}), 'TypeError', ''"
        )
        assert await wait_until_quiet(connection, case.world.scope, 0)
        await case.run("UPDATE quarantine SET released_at = now()")
        assert not await wait_until_quiet(connection, case.world.scope, 0)


async def test_messages_that_nobody_has_taken_are_waited_for(case: Case) -> None:
    answers = [["payments.authorize_payment has 1 message before it"], []]

    async def lag() -> Sequence[str]:
        return answers.pop(0)

    told: list[str] = []
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        assert await wait_until_quiet(connection, case.world.scope, 20, lag=lag, progress=told.append)
    assert told == ["payments.authorize_payment has 1 message before it"]


async def test_what_a_taken_message_set_off_meanwhile_is_waited_for(case: Case) -> None:
    """The lag is zero only because the last message became work in the database a moment ago."""

    async def lag() -> Sequence[str]:
        if not told:
            await case.run(WAITING)
        return ()

    told: list[str] = []

    def progress(text: str) -> None:
        told.append(text)

    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        assert not await wait_until_quiet(connection, case.world.scope, 0.3, lag=lag, progress=progress)
    assert told == ["1 message is still to be sent"]

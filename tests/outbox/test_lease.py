"""The relay's lease: one has it, who is silent loses it by both clocks, and who ends gives it up."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from psycopg import sql

from domain.ports.publisher import Publisher
from outbox.driver.conninfo import connect
from outbox.driver.sqlstates import may_pass
from outbox.relay import Relay
from outbox.relay.lease import DEADLINE, HELD, RENEWED, TRIED, Lease, LeaseLost, new_holder
from tests.eventually import EVENTUALLY_S
from tests.outbox.migrated import database_template

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

LEASE_S = 1.0
Connection = psycopg.AsyncConnection[Any]
Make = Callable[..., Any]


@pytest.fixture
async def make_lease(database_url: str) -> AsyncIterator[Make]:
    """Give what makes a relay's lease, on a connection of its own."""
    async with AsyncExitStack() as stack:

        async def make(lease_s: float = LEASE_S) -> Lease:
            url = database_url.replace("+psycopg", "")
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            return Lease(await stack.enter_async_context(connection), new_holder(), lease_s)

        yield make


async def taken_after(lease: Lease) -> float:
    """Try as a relay that stands by does, until it has it; return after how many seconds."""
    begun = time.monotonic()
    async with asyncio.timeout(EVENTUALLY_S):
        while not await lease.take():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(min(lease.try_again_s, 0.05))
    return time.monotonic() - begun


async def test_of_two_relays_one_has_it_for_as_long_as_it_renews_it(make_lease: Make) -> None:
    first, second = await make_lease(), await make_lease()
    assert [await first.take(), await second.take()] == [True, False]
    keeping = asyncio.create_task(first.keep())
    end = time.monotonic() + 2 * LEASE_S
    while time.monotonic() < end:
        await first.wait_until_usable()
        assert not await second.take()
        await asyncio.sleep(0.1)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert keeping.cancelled()


async def test_of_many_who_try_at_once_one_has_it(make_lease: Make) -> None:
    leases = [await make_lease() for _ in range(8)]
    for _ in range(5):
        taken = await asyncio.gather(*(lease.take() for lease in leases))
        assert sum(taken) == 1
        await leases[taken.index(True)].give_up()


async def test_who_gives_it_up_is_followed_at_once_and_may_send_nothing_more(make_lease: Make) -> None:
    first, second = await make_lease(3600), await make_lease(3600)
    assert await first.take()
    assert first.may_send()
    await first.give_up()
    assert not first.may_send()
    assert await second.take()


async def test_who_is_silent_is_followed_within_the_setting_and_knew_it_before(make_lease: Make) -> None:
    silent, second = await make_lease(), await make_lease()
    assert await silent.take()
    allowed_until = time.monotonic()

    async def ask() -> None:
        nonlocal allowed_until
        while True:
            if silent.may_send():
                allowed_until = time.monotonic()
            await asyncio.sleep(0.001)

    asking = asyncio.create_task(ask())
    begun = time.monotonic()
    after = await taken_after(second)
    asking.cancel()
    assert HELD * LEASE_S - 0.1 < after < LEASE_S
    # What it may have begun then, it has ended or given up before another sends.
    assert allowed_until + DEADLINE * LEASE_S <= begun + after
    with pytest.raises(LeaseLost):
        await silent.keep()
    assert not silent.may_send()


async def test_a_lease_that_ends_when_none_can_end_is_no_lease_once_nobody_renews_it(
    make_lease: Make, database_url: str
) -> None:
    """As after the database's clock was set back by an hour, and the holder stands still."""
    silent, second = await make_lease(), await make_lease()
    assert await silent.take()
    async with await connect(database_url, name="test", autocommit=True) as connection:
        await connection.execute("UPDATE relay_lease SET until = until + interval '1 hour'")
    assert LEASE_S < await taken_after(second) < 3 * LEASE_S
    with pytest.raises(LeaseLost):
        await silent.keep()


async def test_whose_session_has_ended_is_followed_at_once(make_lease: Make) -> None:
    killed, second = await make_lease(3600), await make_lease(3600)
    assert [await killed.take(), await second.take()] == [True, False]
    await killed._connection.close()
    assert await taken_after(second) < 5
    with pytest.raises(psycopg.OperationalError):
        await killed._write("SELECT true")


async def test_who_was_silent_and_not_followed_goes_on(make_lease: Make) -> None:
    lease = await make_lease()
    assert await lease.take()
    async with asyncio.timeout(EVENTUALLY_S):
        while lease.may_send():  # noqa: ASYNC110 - the clock tells nobody
            await asyncio.sleep(0.01)
    waiting = asyncio.create_task(lease.wait_until_usable())
    keeping = asyncio.create_task(lease.keep())
    await asyncio.wait_for(waiting, EVENTUALLY_S)
    assert lease.may_send()
    keeping.cancel()


async def test_a_new_try_of_the_same_relay_need_not_wait_for_its_own_lease(make_lease: Make) -> None:
    lease = await make_lease(3600)
    assert [await lease.take(), await lease.take()] == [True, True]


async def test_a_server_that_is_read_only_gives_no_lease(make_lease: Make, database_url: str) -> None:
    name = database_url.rsplit("/", 1)[1]
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(name))
        connection.execute(statement)
    lease = await make_lease()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refused:
        await lease.take()
    assert may_pass(refused.value)
    assert not lease.may_send()


def test_a_follower_has_time_to_begin_and_a_holder_many_tries_to_renew() -> None:
    assert HELD + TRIED < 1
    assert DEADLINE + 2 * RENEWED < HELD


async def test_a_relay_whose_last_session_the_server_still_holds_is_active_again_in_time(database_url: str) -> None:
    async def nobody() -> Publisher:
        raise AssertionError("nothing is sent here")

    url = database_url.replace("+psycopg", "")
    relay = Relay(url, nobody, lease_s=LEASE_S)
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as cut_off,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as anew,
    ):
        assert await relay._lease_over(cut_off).take()
        assert await taken_after(relay._lease_over(anew)) < 2 * LEASE_S

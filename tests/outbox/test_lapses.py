"""A relay whose database is too slow for its lease, again and again, wakes somebody; one frozen process does not."""

import asyncio
from typing import Any

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from outbox.relay import Relay
from outbox.relay.lapses import MAX, Lapses
from outbox.relay.lease import Lease, new_holder
from tests.eventually import EVENTUALLY_S
from tests.outbox.migrated import database_template
from tests.outbox.relaying import Notebook, connection, conninfo, making, running

__all__ = ["connection", "database_template"]

LEASE_S = 0.8


def alarms(log: list[Any]) -> list[tuple[str, str]]:
    return [(line["reason"], line["name"]) for line in log if line.get("alarm")]


async def test_a_few_are_no_alarm_and_more_are_one() -> None:
    with capture_logs() as log:
        lapses = Lapses(structlog.get_logger(), 10)
        for _ in range(MAX):
            lapses.add()
            lapses.note_sent()
        assert log == []
        for _ in range(10):
            lapses.add()
            lapses.note_sent()
    assert alarms(log) == [("dependency_down", "relay")]
    assert [line for line in log if not line.get("alarm")] == [], "it is not over with the next message"


@pytest.mark.integration
async def test_a_relay_that_loses_its_lease_again_and_again_to_a_slow_database_wakes_somebody(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    relay = Relay(conninfo(database_url), making(Notebook()), lease_s=LEASE_S, poll_s=0.05)
    with capture_logs() as log:

        async def until(event: str, count: int) -> None:
            async with asyncio.timeout(EVENTUALLY_S):
                while sum(line["event"] == event for line in log) < count:  # noqa: ASYNC110 - the log tells nobody
                    await asyncio.sleep(0.01)

        async with running(relay):
            for time in range(1, MAX + 2):
                await until("active", time)
                # The renewal waits for it, as it would for a disk.
                async with connection.transaction():
                    await connection.execute("SELECT FROM relay_lease FOR UPDATE")
                    await until("another relay is active", time)
            await until("active", MAX + 2)
    slow = [line for line in log if line.get("alarm")]
    assert [(line["reason"], line["lapses"], line["lease_s"]) for line in slow] == [
        ("dependency_down", MAX + 1, LEASE_S)
    ]


@pytest.mark.integration
async def test_a_lease_that_was_over_before_it_was_renewed_is_noted_though_nobody_took_it(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    lapsed = asyncio.Event()
    async with await psycopg.AsyncConnection.connect(conninfo(database_url), autocommit=True) as own:
        lease = Lease(own, new_holder(), LEASE_S, lapsed.set)
        assert await lease.take()
        async with connection.transaction():
            await connection.execute("SELECT FROM relay_lease FOR UPDATE")
            keeping = asyncio.create_task(lease.keep())
            async with asyncio.timeout(EVENTUALLY_S):
                while not lease.is_over():  # noqa: ASYNC110 - the clock tells nobody
                    await asyncio.sleep(0.005)
        async with asyncio.timeout(EVENTUALLY_S):
            await lapsed.wait()
        keeping.cancel()

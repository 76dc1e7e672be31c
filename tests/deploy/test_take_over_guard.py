"""A take-over finds processes by their word, whatever their sessions are called, and notices who begins meanwhile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from deploy.failures import Failure
from deploy.presence import BEAT_S
from deploy.rebuilding import guards
from deploy.rebuilding.guards import LOCK_NAME, Watch, alone
from deploy.settings import load_settings
from outbox.driver.conninfo import connect
from outbox.operators.taking_over import words

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def connection(deployment: dict[str, str], tmp_path: Path) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    url = load_settings(deployment, directory=tmp_path).direct_url()
    async with await connect(url, name=LOCK_NAME, autocommit=True) as opened:
        yield opened


async def say(connection: psycopg.AsyncConnection[Any], name: str, roles: str = "sweep", lasts_s: float = 60) -> None:
    await connection.execute(
        """INSERT INTO process (name, release, needs, roles, until) VALUES (%s, '0.2.0', '0020', %s, now() + %s)
           ON CONFLICT (name) DO UPDATE SET until = excluded.until""",
        [name, roles, timedelta(seconds=lasts_s)],
    )


async def test_a_process_that_says_again_that_it_runs_is_found(connection: psycopg.AsyncConnection[Any]) -> None:
    await say(connection, "web-1")
    before, _ = await words(connection)
    await say(connection, "web-1")
    with pytest.raises(Failure, match=r"at work, so nothing was taken over: sweep \(web-1\)"):
        await guards._refuse_living(connection, before, wait_s=BEAT_S)


async def test_a_word_from_before_the_loss_and_this_command_hold_nothing_up(
    connection: psycopg.AsyncConnection[Any], deployment: dict[str, str], tmp_path: Path
) -> None:
    await say(connection, "gone", lasts_s=-1)
    await say(connection, "myself", roles="payments audit")
    async with alone(load_settings(deployment, directory=tmp_path), connection) as watch:
        await watch.refuse(connection)


async def test_who_begins_meanwhile_is_noticed_before_a_commit(connection: psycopg.AsyncConnection[Any]) -> None:
    await say(connection, "from-before")
    before, _ = await words(connection)
    watch = Watch(before)
    await watch.refuse(connection)
    await say(connection, "new", roles="consume OrderConfirmed")
    with pytest.raises(Failure, match=r"have begun meanwhile: consume OrderConfirmed \(new\)"):
        await watch.refuse(connection)

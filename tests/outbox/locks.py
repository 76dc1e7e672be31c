"""Waiting until one transaction waits for another: what a race between two looks like from inside."""

import asyncio
from typing import Any

import psycopg

from tests.eventually import EVENTUALLY_S

WAIT_S = EVENTUALLY_S
POLL_S = 0.01


async def until_it_blocks_somebody(connection: psycopg.AsyncConnection[Any]) -> None:
    """Wait until somebody waits for what this connection's transaction holds."""
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    async with asyncio.timeout(WAIT_S):
        while (await (await connection.execute(blocked)).fetchone()) == (0,):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(POLL_S)

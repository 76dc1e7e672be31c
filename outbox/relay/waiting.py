"""Waiting that ends early: when the process must stop, or when a transaction has put something into the outbox."""

import asyncio
from contextlib import suppress
from typing import Any

import psycopg


async def wait_for_rows(connection: psycopg.AsyncConnection[Any], stop: asyncio.Event, most_s: float) -> None:
    """Wait for a notification or for stop, most_s seconds at most."""
    notified = asyncio.ensure_future(_next_notification(connection, most_s))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({notified, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if notified.done():
        notified.result()
        return
    notified.cancel()
    with suppress(asyncio.CancelledError):
        await notified


async def _next_notification(connection: psycopg.AsyncConnection[Any], timeout_s: float) -> None:
    async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
        return


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until stop is set; return whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()

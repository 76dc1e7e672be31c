"""Ending aiokafka's clients in time. Their own ways to end wait for the other side, some of them without end."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

LEAVE_S: Final = 5
"""To leave the group in order. A member that joins waits until all others have joined too, and the library's stop()
waits for that: with others that drain for half a minute, for longer than a process is given to end."""
GIVE_UP_S: Final = 2
_TASKS: Final = (
    ("_coordinator", "_coordination_task"),
    ("_coordinator", "_heartbeat_task"),
    ("_coordinator", "_commit_refresh_task"),
)
_FETCHING: Final = ("_fetcher", "_fetch_task")

_log = structlog.get_logger("consumers.source")


async def leave_group(consumer: AIOKafkaConsumer) -> None:
    """Leave the group, so that others take over at once; a member that cannot leave in time is dropped.

    The group misses a dropped member after its session time-out. Nothing of it goes on here: a heartbeat would keep
    partitions that nobody reads.
    """
    leaving = asyncio.ensure_future(consumer.stop())
    try:
        await asyncio.wait([leaving], timeout=LEAVE_S)
    finally:
        if not leaving.done():
            # What waits for an answer is told that none comes.
            await close_client(consumer._client)  # noqa: SLF001 - there is no public way to give up
            await asyncio.wait([leaving], timeout=GIVE_UP_S)
        leaving.cancel()
        # Of a stop() that was cancelled, or that raised half way, parts go on.
        left = [task for place in (*_TASKS, _FETCHING) if (task := _task(consumer, *place)) and not task.done()]
        for task in left:
            task.cancel()
        await asyncio.wait([leaving, *left], timeout=GIVE_UP_S)
        await close_client(consumer._client)  # noqa: SLF001 - as above
    error = leaving.exception() if leaving.done() and not leaving.cancelled() else None
    if error is not None:
        # It is no member of ours any more, whatever the library says.
        _log.warning("left the group with an error", error=repr(error))


def has_given_up(consumer: AIOKafkaConsumer) -> bool:
    """Tell whether a part of the client has ended with an error, which it then raises for ever, and never does again.

    One refused heartbeat is enough: no other is sent, and the group shares out the partitions without this member.
    """
    tasks = (_task(consumer, *place) for place in _TASKS)
    return any(task and task.done() and not task.cancelled() and task.exception() is not None for task in tasks)


async def close_client(client: AIOKafkaClient) -> None:
    """Close all connections at once.

    The library's close waits for the other side: half a minute for a TLS peer that is silent, and for as long as bytes
    are unsent.
    """
    for connection in list(client._conns.values()):  # noqa: SLF001 - there is no public way to abort
        if connection._writer is not None:  # noqa: SLF001 - as above
            connection._writer.transport.abort()  # noqa: SLF001 - as above
    with suppress(KafkaError, TimeoutError, OSError):
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await client.close()
        except asyncio.CancelledError:
            # Not ours: an earlier time-out has cancelled a future that the library waits for once more.
            if _is_cancelled():
                raise


def _task(consumer: AIOKafkaConsumer, owner: str, name: str) -> "asyncio.Task[None] | None":
    """Return a task of the library's, if this release has it."""
    task = getattr(getattr(consumer, owner, None), name, None)
    return task if isinstance(task, asyncio.Task) else None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

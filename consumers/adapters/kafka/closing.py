"""Stops aiokafka's clients in time. Their own stop() and close() wait for the broker, some of them without end.

A start that is broken off is a stop, too.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient

from domain.errors import Transient

LEAVE_S: Final = 5
"""Time to leave the group in order. While the group rebalances, the library's stop() waits until all members have
joined. Others may drain for half a minute, and a process may have less time than that to stop."""
GIVE_UP_S: Final = 2
_TASKS: Final = (
    ("_coordinator", "_coordination_task"),
    ("_coordinator", "_heartbeat_task"),
    ("_coordinator", "_commit_refresh_task"),
)
_FETCHING: Final = ("_fetcher", "_fetch_task")
_BROKERS: Final = ("_client", "_sync_task")

_log = structlog.get_logger("consumers.source")


async def begun(start: Coroutine[Any, Any, None]) -> None:
    """Await a client's start. If we are cancelled meanwhile, let it end first, for at most GIVE_UP_S.

    aiokafka forgets a connection that is open while its start is cancelled: it closes only those that it has noted.
    """
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=GIVE_UP_S)
        raise
    finally:
        if not starting.cancel() and not starting.cancelled():
            # An error that nobody asks for any more would be logged when it is collected.
            starting.exception()


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a client. It leaves its group, if it has one, so that others take over at once.

    If that takes too long, the client is dropped. The group notices a dropped member after its session time-out. All
    its tasks end here: a heartbeat would keep partitions that nobody reads. What the client raises is only logged.
    """
    leaving = asyncio.ensure_future(consumer.stop())
    try:
        await asyncio.wait([leaving], timeout=LEAVE_S)
    finally:
        if not leaving.done():
            # Whatever waits for an answer fails now.
            await close_client(consumer._client)  # noqa: SLF001 - there is no public way to give up
            await asyncio.wait([leaving], timeout=GIVE_UP_S)
        leaving.cancel()
        # After a stop() that was cancelled or raised, some tasks still run.
        tasks = [task for place in (*_TASKS, _FETCHING) if (task := _task(consumer, *place))]
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.wait([leaving, *left], timeout=GIVE_UP_S)
        await close_client(consumer._client)  # noqa: SLF001 - as above
        for task in tasks:
            if task.done() and not task.cancelled():
                # An error that nobody asks for any more would be logged when it is collected.
                task.exception()
    error = leaving.exception() if leaving.done() and not leaving.cancelled() else None
    if error is not None:
        # It is stopped in any case.
        _log.warning("stopped a client with an error", error=repr(error))


def has_given_up(consumer: AIOKafkaConsumer) -> bool:
    """Whether a task of the client has ended with an error. The client never starts it again.

    One refused heartbeat is enough: no other is sent, and the group assigns its partitions to other members. Without
    the others nothing is fetched, or no new leader or partition is seen, and the client does not say so.
    """
    tasks = (_task(consumer, *place) for place in (*_TASKS, _FETCHING, _BROKERS))
    return any(task and task.done() and not task.cancelled() and task.exception() is not None for task in tasks)


def check_alive(consumer: AIOKafkaConsumer) -> None:
    """Raise Transient if the client has given up: without the task that fetches, it gives no messages and no error."""
    if has_given_up(consumer):
        raise Transient("a task of Kafka's client has ended with an error")


async def close_client(client: AIOKafkaClient) -> None:
    """Close all connections at once. What the client raises is only logged.

    The library's close waits half a minute for a silent TLS peer, and without end for unsent bytes.
    """
    for connection in list(client._conns.values()):  # noqa: SLF001 - there is no public way to abort
        if connection._writer is not None:  # noqa: SLF001 - as above
            connection._writer.transport.abort()  # noqa: SLF001 - as above
    try:
        async with asyncio.timeout(GIVE_UP_S):
            await client.close()
    except asyncio.CancelledError:
        # Unless our task was cancelled, an earlier time-out has cancelled a future that the library awaits again.
        if (task := asyncio.current_task()) is not None and task.cancelling() > 0:
            raise
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody needs this client any more
        _log.warning("closed a client with an error", error=repr(error))
        # It raises what its own task died of, before it comes to its connections.
        for connection in list(client._conns.values()):  # noqa: SLF001 - as above
            with suppress(Exception):
                connection.close()


def _task(consumer: AIOKafkaConsumer, owner: str, name: str) -> "asyncio.Task[None] | None":
    """Return one of the library's tasks, if this release of it has it."""
    task = getattr(getattr(consumer, owner, None), name, None)
    return task if isinstance(task, asyncio.Task) else None

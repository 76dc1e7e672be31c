"""Severs connections below aiokafka's client, as a broker does that is killed: the client has not noticed yet.

A socket breaks in one turn of the event loop, and the client hears of it in a later one. A request that is sent in
between is written to a closed transport: uvloop raises RuntimeError, and asyncio's own loop does not.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiokafka.client
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason

Where = Callable[[str], bool]


async def sever(connection: AIOKafkaConnection) -> None:
    """Close the transport below a connection. The client notices once it has sent one more request."""
    connection._read_task.cancel()
    transport = connection._writer.transport
    transport.abort()
    while "closed=True" not in repr(transport):  # noqa: ASYNC110 - the loop tells nobody
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(connection.close, CloseReason.CONNECTION_BROKEN)


class Severed:
    """The connections of the next request. hit: set once a request went to a closed transport."""

    def __init__(self, of: Where, times: int) -> None:
        self.hit = asyncio.Event()
        self._of = of
        self._left = times

    async def _maybe(self, connection: AIOKafkaConnection | None) -> None:
        task = asyncio.current_task()
        name = "" if task is None else getattr(task.get_coro(), "__qualname__", "")
        if connection is not None and self._left and self._of(name):
            self._left -= 1
            await sever(connection)
            self.hit.set()


@contextmanager
def severed(monkeypatch: Any, of: Where = lambda _: True, *, times: int = 1) -> Iterator[Severed]:
    """Sever the connection of each of the next requests of the tasks that `of` names, and of no others.

    of: takes the qualified name of a task's coroutine, such as Fetcher._proc_fetch_request.
    """
    severing = Severed(of, times)
    taken, made = AIOKafkaClient._get_conn, aiokafka.client.create_conn

    async def take(self: AIOKafkaClient, node_id: Any, **options: Any) -> AIOKafkaConnection | None:
        connection = await taken(self, node_id, **options)
        await severing._maybe(connection)
        return connection

    async def make(*args: Any, **options: Any) -> AIOKafkaConnection:
        connection = await made(*args, **options)
        if "on_close" not in options:
            # The first connection, over which a client asks for the brokers, is never taken again.
            await severing._maybe(connection)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(AIOKafkaClient, "_get_conn", take)
        patched.setattr(aiokafka.client, "create_conn", make)
        yield severing

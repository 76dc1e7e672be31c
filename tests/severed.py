"""Severs connections below aiokafka's client, as a broker does that is killed: the client has not noticed yet.

A socket breaks in one turn of the event loop, and the client hears of it in a later one. A request that is sent in
between is written to a closed transport: uvloop raises RuntimeError, and asyncio's own loop does not.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiokafka.client
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason

from deploy.running import run

TEST_S: Final = 110

Where = Callable[[str], bool]


def on_uvloop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on the loop of the product. If it fails, close what is open: uvloop's close() waits for that."""

    async def bounded() -> None:
        try:
            await asyncio.wait_for(work(), TEST_S)
        finally:
            for left in [each for each in gc.get_objects() if isinstance(each, AIOKafkaConnection)]:
                left.close()
            await asyncio.sleep(0)

    run(bounded())


async def sever(connection: AIOKafkaConnection) -> None:
    """Close the transport below a connection. The client notices once it has sent one more request."""
    connection._read_task.cancel()
    transport = connection._writer.transport
    transport.abort()
    while "closed=True" not in repr(transport):  # noqa: ASYNC110 - the loop tells nobody
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(connection.close, CloseReason.CONNECTION_BROKEN)


class Severed:
    """What is to be severed. hit: set once a request goes to a closed transport."""

    def __init__(self, of: Where) -> None:
        self.hit = asyncio.Event()
        self._is_due = True
        self._of = of

    async def _maybe(self, connection: AIOKafkaConnection | None) -> None:
        task = asyncio.current_task()
        name = "" if task is None else getattr(task.get_coro(), "__qualname__", "")
        if connection is not None and self._is_due and self._of(name):
            self._is_due = False
            await sever(connection)
            self.hit.set()


@contextmanager
def severed(monkeypatch: Any, of: Where = lambda _: True) -> Iterator[Severed]:
    """Sever the connection of the next request of the tasks that `of` names.

    of: takes the qualified name of a task's coroutine, such as Fetcher._proc_fetch_request.
    """
    severing = Severed(of)
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

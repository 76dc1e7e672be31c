"""A server of HTTP for strangers: how many connections it takes, how long each may be silent, how it starts and stops.

The endpoint for webhooks, the metrics and the probes use it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

CONNECTIONS_MAX: Final = 1_000
SILENT_S: Final = 15.0
"""A connection is closed if it has not sent the whole head of a request by then: counted from its beginning, or from
its last answer."""
LINGER_S: Final = 1.0
"""So long the rest of a refused body is read and dropped, so that the sender sees the answer."""
STOP_S: Final = 5.0
BACKLOG: Final = 512


class _Refusing(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it; nothing is read."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Server(web.Server):
    """aiohttp's server, with a bound on its connections."""

    def __init__(self, answer: Answer, silent_s: float, connections_max: int) -> None:
        super().__init__(
            answer,
            keepalive_timeout=silent_s,
            lingering_time=LINGER_S,
            access_log=None,
            logger=_silent(),
            # The signature is over the bytes as they came.
            auto_decompress=False,
        )
        self._connections_max = connections_max

    def protocol(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return self() if len(self.connections) < self._connections_max else _Refusing()


def _silent() -> logging.Logger:
    """Return a logger that drops all. aiohttp logs every malformed request as an error, and quotes what was sent."""
    logger = logging.getLogger("deploy.listening.http")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]
    return logger


@contextlib.asynccontextmanager
async def serving(
    host: str,
    port: int,
    answer: Answer,
    *,
    silent_s: float = SILENT_S,
    connections_max: int = CONNECTIONS_MAX,
) -> AsyncIterator[str]:
    """Listen while inside; yields the address, host:port. At the end requests under way are answered.

    Raises OSError if it cannot listen there.
    """
    server = _Server(answer, silent_s, connections_max)
    listener = await asyncio.get_running_loop().create_server(server.protocol, host, port, backlog=BACKLOG)
    try:
        bound = listener.sockets[0].getsockname()
        yield f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    finally:
        listener.close()
        server.pre_shutdown()
        await server.shutdown(STOP_S)


async def every(seconds: float, do: Callable[[], None], stop: asyncio.Event) -> None:
    """Do this again and again until stop is set, and once more at the end."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        do()

"""How a stand-in server listens, starts and stops."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import uvicorn
from starlette.applications import Starlette

from deploy.running import Stopping
from deploy.standins.connections import Protocol

KEEP_ALIVE_S: Final = 120  # longer than our clients keep a connection: no request is sent on one that closes
DRAIN_S: Final = 1  # connections still open then are held on purpose: do not wait for them
BACKLOG: Final = 2048
Around = Callable[[], AbstractAsyncContextManager[None]]


class WrongAddress(ValueError):  # noqa: N818 - its name says what is wrong
    """The address is not one to listen on."""


class _Server(uvicorn.Server):
    """uvicorn's server. It reports its address, and the process exits with 0 after SIGTERM or SIGINT."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if not self.should_exit:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT with Stopping, as all processes here."""
        with Stopping(self._stop, ends_soon=True):
            yield

    def _stop(self) -> None:
        self.should_exit = True


def loopback(listen: str) -> tuple[str, int]:
    """Split HOST:PORT. Raises WrongAddress unless the host is this machine: play money and play goods stay here."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not port.isdecimal() or int(port) > 65535:
        raise WrongAddress(f"Give HOST:PORT to listen on, for example 127.0.0.1:8420, not {listen!r}.")
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return host, int(port)
    raise WrongAddress(f"The sandbox listens on loopback only (127.0.0.1, ::1), not on {host!r}.")


def serve_app(app: Starlette, address: tuple[str, int], ready: Callable[[str], None], around: Around) -> None:
    """Answer until SIGTERM or SIGINT. `ready` is called with the URL as soon as it answers.

    around: makes what is entered, in the event loop, while it answers. Raises OSError if the address is not free.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    # Not left to uvicorn: it would write a log line of its own, and end the process.
    listening = socket.create_server(address, family=family, backlog=BACKLOG)
    with listening, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config, ready), listening, around))


async def _serve(server: _Server, listening: socket.socket, around: Around) -> None:
    async with around():
        await server.serve([listening])

"""Faults between the caller and the sandbox, at the level of the connection.

A reset is a real one: the socket is closed with lingering off, which sends RST. For a time-out
the connection is held without an answer until the caller gives up, or HOLD_S at the most.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass
from zlib import crc32

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from deploy.sandbox.errors import invalid

HOLD_S = 60.0
_LINGER_OFF = struct.pack("ii", 1, 0)
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(slots=True)
class GlobalFaults:
    """Faults of the whole gateway. down: no answers. slow_share of the keys (0 to 1) are executed slow_s late."""

    down: bool = False
    slow_share: float = 0.0
    slow_s: float = 3.0

    def change(self, body: bytes) -> None:
        """Set what the JSON names and keep the rest."""
        try:
            wanted = orjson.loads(body)
        except orjson.JSONDecodeError as broken:
            raise invalid("Send a JSON object with down, slow_share or slow_s.") from broken
        if not isinstance(wanted, dict) or wanted.keys() - {"down", "slow_share", "slow_s"}:
            raise invalid("Only down, slow_share and slow_s can be set.")
        down, share, slow_s = (wanted.get(name, getattr(self, name)) for name in ("down", "slow_share", "slow_s"))
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (share, slow_s))
        if not isinstance(down, bool) or not numbers or not 0 <= share <= 1 or not 0 <= slow_s <= HOLD_S:
            raise invalid(f"down is true or false, slow_share is 0 to 1, slow_s is 0 to {HOLD_S:g}.")
        self.down, self.slow_share, self.slow_s = down, float(share), float(slow_s)

    def delay_s(self, key: str) -> float:
        """Return how many seconds to wait before a request with this key is executed."""
        return self.slow_s if self.slow_share and crc32(key.encode()) < self.slow_share * 2**32 else 0.0


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1. It keeps a table of connections by the caller's address, for Reset."""

    open_connections: dict[tuple[str, int], asyncio.Transport] = {}  # noqa: RUF012 - one table a process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection."""
        super().connection_made(transport)
        if self.client is not None:
            self.open_connections[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.client is not None:
            self.open_connections.pop(self.client, None)
        super().connection_lost(exc)


class Reset(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Close the socket with RST and wait until the server has seen it closed."""
        client = scope.get("client")
        transport = Protocol.open_connections.get(tuple(client)) if client else None
        if transport is None:
            raise ConnectionResetError("the sandbox resets this connection")
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def hold(request: Request) -> Response:
    """Send no answer until the caller gives up, or HOLD_S has passed."""
    try:
        async with asyncio.timeout(HOLD_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return Reset()
    return Gone()


class Gone(Response):
    """No answer: the caller has closed the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


def bad_gateway() -> Response:
    """Answer as a proxy in front of the API would."""
    return Response(_BAD_GATEWAY, 502, media_type="text/html")


def cut(body: bytes) -> bytes:
    """Return a body that ends in the middle."""
    return body[: len(body) // 2]

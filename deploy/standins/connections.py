"""Faults between a caller and a stand-in server, at the level of the connection.

A reset is a real one: the socket is closed with lingering off, which sends RST. For a time-out
the connection is held without an answer until the caller gives up, or HOLD_S at the most.
"""

import asyncio
import socket
import struct
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HOLD_S: Final = 60.0
_LINGER_OFF = struct.pack("ii", 1, 0)
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


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
            raise ConnectionResetError("this stand-in resets the connection")
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

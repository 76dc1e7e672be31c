"""The wire between the pipeline and the gateway: passes bytes on, notes every call, and can be cut.

From outside it looks like the sandbox itself: what resets there resets here, and while the sandbox is not there
nobody listens here either. A call lasts from its first byte to the last of its answer, or to the end of its connection,
so that the oracle sees two calls under one key at the same time.
"""

import asyncio
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.clock import unix_s

HOST: Final = "127.0.0.1"
LINGER_OFF: Final = struct.pack("ii", 1, 0)
HEAD_END: Final = b"\r\n\r\n"
START_S: Final = 10.0


@dataclass(slots=True)
class Call:
    """One request that changes something. ended: answered, gone (the caller left) or reset. Times: Unix seconds."""

    key: str
    path: str
    begun_at: float
    ended_at: float | None = None
    ended: str = ""


class _Reading:
    """Finds the ends of HTTP/1.1 messages of known length in a stream. One whose end is not known ends with it."""

    def __init__(self) -> None:
        self.head: dict[str, str] | None = None
        self.start = ""
        self._buffer = b""
        self._left = 0

    def feed(self, data: bytes) -> bool:
        """Take bytes; tell whether a message has just ended."""
        self._buffer += data
        if self.head is None:
            if HEAD_END not in self._buffer:
                return False
            head, self._buffer = self._buffer.split(HEAD_END, 1)
            self.start, *lines = head.decode("latin-1").split("\r\n")
            self.head = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            self._left = int(self.head.get("content-length", "0"))
        self._left -= len(self._buffer)
        self._buffer = b""
        return self._left <= 0

    def next(self) -> None:
        """Wait for the next message."""
        self.head, self._left = None, 0


class _Side(asyncio.Protocol):
    """One end of a connection that is passed on."""

    def __init__(self, connection: "_Connection", *, asks: bool) -> None:
        self._connection = connection
        self._asks = asks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connection.made(transport, asks=self._asks)

    def data_received(self, data: bytes) -> None:
        self._connection.passed(data, asks=self._asks)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost(asks=self._asks)


class _Connection:
    """A caller's connection and the one to the sandbox behind it."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self._caller: asyncio.Transport | None = None
        self._sandbox: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._request, self._answer = _Reading(), _Reading()
        self._call: Call | None = None
        self._begun_at = 0.0
        self._opening: asyncio.Task[Any] | None = None

    def made(self, transport: asyncio.Transport, *, asks: bool) -> None:
        if not asks:
            self._sandbox = transport
            if self._caller is None or self._caller.is_closing():
                transport.abort()
            for data in self._early:
                transport.write(data)
            return
        self._caller = transport
        self._wire.connections.add(self)
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        loop, (host, port) = asyncio.get_running_loop(), self._wire.sandbox
        try:
            await loop.create_connection(lambda: _Side(self, asks=False), host, port)
        except OSError:
            self.reset()

    def passed(self, data: bytes, *, asks: bool) -> None:
        """Pass bytes on, unless the wire is cut: then nobody hears of them, as on a network."""
        if asks:
            self._note_request(data)
        if self._wire.is_cut:
            return
        if asks and self._sandbox is None:
            self._early.append(data)
        elif asks and self._sandbox is not None:
            self._sandbox.write(data)
        elif self._caller is not None:
            self._caller.write(data)
            if self._answer.feed(data):
                self._answer.next()
                self._request.next()
                self._end("answered")

    def lost(self, *, asks: bool) -> None:
        """End the other side as this one ended."""
        self._end("gone" if asks else "reset")
        self._wire.connections.discard(self)
        if asks and self._sandbox is not None:
            self._sandbox.abort()
        elif not asks:
            self.reset()

    def reset(self) -> None:
        """Reset the caller's side: RST, not FIN."""
        if self._caller is not None and not self._caller.is_closing():
            self._caller.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
            self._caller.abort()

    def _note_request(self, data: bytes) -> None:
        if self._request.head is None and not self._begun_at:
            self._begun_at = unix_s()
        self._request.feed(data)
        if self._request.head is None or self._call is not None:
            return
        key = self._request.head.get("idempotency-key")
        if key is not None:
            self._call = Call(key, self._request.start.split(" ")[1], self._begun_at)
            self._wire.calls.append(self._call)

    def _end(self, how: str) -> None:
        self._begun_at = 0.0
        if self._call is not None:
            self._call.ended_at, self._call.ended = unix_s(), how
            self._call = None


class Wire:
    """Listens in front of the sandbox, in a thread of its own."""

    def __init__(self, port: int, sandbox: tuple[str, int]) -> None:
        self.port = port
        self.sandbox = sandbox
        self.calls: list[Call] = []
        self.connections: set[_Connection] = set()
        self.is_cut = False
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the gateway is, for the pipeline."""
        return f"http://{HOST}:{self.port}"

    def listen(self) -> None:
        """Take connections. May be repeated."""
        self._do(self._listen())

    def shut(self) -> None:
        """Refuse connections and reset those that there are."""
        self._do(self._shut())

    def cut(self, *, is_cut: bool) -> None:
        """Lose every byte from now on; or pass them again. What was lost stays lost, and its connections are dead."""
        self.is_cut = is_cut
        if not is_cut:
            self._do(self._reset_all())

    def close(self) -> None:
        """End the thread. May be repeated."""
        if self._thread.is_alive():
            self.shut()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    async def _listen(self) -> None:
        if self._server is None:
            make = lambda: _Side(_Connection(self), asks=True)  # noqa: E731 - a connection each
            self._server = await self._loop.create_server(make, HOST, self.port, reuse_address=True)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset_all()

    async def _reset_all(self) -> None:
        for connection in list(self.connections):
            connection.reset()

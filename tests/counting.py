"""A door before a server: it counts who comes, and lets them through."""

import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
PIECE: Final = 65_536


class Door(socketserver.ThreadingTCPServer):
    """An address on loopback that leads to a server. calls: connections so far; one may carry many requests."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        parts = urlsplit(behind)
        assert parts.hostname is not None
        assert parts.port is not None
        self.behind = parts.hostname, parts.port
        self.calls = 0
        self.counting = threading.Lock()
        super().__init__((HOST, 0), _Passing)

    @property
    def address(self) -> str:
        """Return its URL."""
        return f"http://{HOST}:{self.server_address[1]}"


class _Passing(socketserver.BaseRequestHandler):
    server: Door

    def handle(self) -> None:
        with self.server.counting:
            self.server.calls += 1
        # A caller may be killed, and a server may not run: here as without a door.
        with (
            suppress(OSError),
            socket.create_connection(self.server.behind) as onward,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(self.request, selectors.EVENT_READ, onward)
            ready.register(onward, selectors.EVENT_READ, self.request)
            while True:
                for key, _ in ready.select():
                    assert isinstance(key.fileobj, socket.socket)
                    piece = key.fileobj.recv(PIECE)
                    if not piece:
                        return
                    key.data.sendall(piece)


@contextmanager
def door(behind: str) -> Iterator[Door]:
    """Open a door before the server of this URL for the length of a block."""
    with Door(behind) as opened:
        thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield opened
        finally:
            opened.shutdown()
            thread.join()

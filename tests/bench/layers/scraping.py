"""Somebody who scrapes the measured processes, as Prometheus would."""

import http.client
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import psutil

from deploy.embedded.ports import HOST

EVERY_S: Final = 15.0
ANSWER_S: Final = 10.0
OURS: Final = b"payments_"
"""Every metric of this module begins with it."""


class Scraper:
    """Scrapes in a thread, at once and then every EVERY_S. scrapes: how many answers had metrics of ours."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.scrapes = 0
        self._processes = processes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._scrape, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(2 * ANSWER_S)

    def _scrape(self) -> None:
        while True:
            for port in self._ports():
                self.scrapes += _answers(port)
            if self._end.wait(EVERY_S):
                return

    def _ports(self) -> list[int]:
        """Find where they listen: each has drawn a port of its own."""
        found = []
        for process in self._processes:
            try:
                connections = process.net_connections("tcp")
            except psutil.Error:
                continue
            found += [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]
        return found


def _answers(port: int) -> bool:
    """Ask for metrics; tell whether there were any of ours."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        return OURS in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

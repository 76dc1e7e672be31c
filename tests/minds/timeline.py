"""One thread that does things when their time has come, or when what they wait for is true. Nothing here sleeps."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import httpx
import psycopg

from tests.chaos.clock import unix_s

LOOK_S: Final = 0.1
AWAY: Final = (psycopg.Error, httpx.HTTPError, OSError)
"""A server that was killed is away; what asked it asks again."""
Work = Callable[[], None]


class Timeline:
    """Work that raises is kept in `errors`, and counts as done: the run is worth nothing then."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Work]] = []
        self._number = itertools.count()
        self._busy = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)
        self._thread.start()

    def after(self, seconds: float, work: Work) -> None:
        """Do it in so many seconds."""
        with self._changed:
            heapq.heappush(self._due, (unix_s() + seconds, next(self._number), work))
            self._changed.notify_all()

    def once(self, condition: Callable[[], object], work: Work) -> None:
        """Do it as soon as the condition holds; a server that is away says nothing about it."""

        def look() -> None:
            with suppress(*AWAY):
                if condition():
                    work()
                    return
            self.after(LOOK_S, look)

        self.after(0, look)

    def until(self, work: Callable[[], object]) -> None:
        """Do it again and again until it returns something true; a server that is away is asked again."""
        self.once(work, lambda: None)

    def wait(self, timeout_s: float, begun: Callable[[], bool] = lambda: True) -> bool:
        """Wait until nothing is left to do; tell whether it is so. begun: whether everything has come here."""
        end = unix_s() + timeout_s
        with self._changed:
            # What begins elsewhere wakes nobody here.
            while not (begun() and not self._due and not self._busy):
                if unix_s() >= end:
                    return False
                self._changed.wait(min(end - unix_s(), LOOK_S))
        return True

    def close(self) -> None:
        """Do no more. May be repeated."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is told in the verdict
                self.errors.append(f"{type(error).__name__}: {error}")
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> Work | None:
        with self._changed:
            while not self._closed:
                left_s = self._due[0][0] - unix_s() if self._due else None
                if left_s is not None and left_s <= 0:
                    self._busy = True
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left_s)
        return None


class Lookout:
    """Waits until the database names an order. find: of these ids, those that are there now; asked for all at once."""

    def __init__(self, timeline: Timeline, find: Callable[[list[str]], Iterable[str]]) -> None:
        self._timeline = timeline
        self._find = find
        self._waiting: dict[str, Work] = {}
        self._lock = threading.Lock()

    def when_there(self, order_id: str, work: Work) -> None:
        """Do it as soon as the order is named."""
        with self._lock:
            is_first = not self._waiting
            self._waiting[order_id] = work
        if is_first:
            self._timeline.after(0, self._look)

    def _look(self) -> None:
        with self._lock:
            wanted = list(self._waiting)
        found: list[str] = []
        with suppress(*AWAY):
            found = list(self._find(wanted))
        with self._lock:
            due = [self._waiting.pop(order_id) for order_id in found]
            is_over = not self._waiting
        for work in due:
            work()
        if not is_over:
            self._timeline.after(LOOK_S, self._look)

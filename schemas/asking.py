"""Asks questions with a limit on the whole answer, on threads that may be left alone.

An HTTP client's time-outs bound each step of an answer. An answer that comes byte by byte may never end.
"""

import time
from collections.abc import Callable, Hashable
from threading import Thread
from typing import NamedTuple, TypeVar

from schemas.registry import RegistryUnavailable

T = TypeVar("T")


class _Endless(NamedTuple):
    """The thread of an answer that does not end, and until when the question is not asked again."""

    thread: Thread
    until: float


class Asker:
    """Asks one question at a time, each on its own thread. If no whole answer comes in time, the thread is left alone.

    answer_s: how long to wait. again_s: how long a question is not asked again while its old answer has not ended, so
    that threads do not pile up.
    """

    def __init__(self, answer_s: float, again_s: float) -> None:
        self._answer_s = answer_s
        self._again_s = again_s
        self._endless: dict[Hashable, _Endless] = {}

    def ask(self, name: Hashable, question: Callable[[], T]) -> T:
        """Return the answer or raise what the question raises; RegistryUnavailable when the answer does not end."""
        answers: list[T] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                answers.append(question())
            except Exception as error:  # noqa: BLE001 - raised in the thread that waits
                errors.append(error)

        now = time.monotonic()
        self._endless = {known: e for known, e in self._endless.items() if e.thread.is_alive() and now < e.until}
        if name not in self._endless:
            # A daemon: an answer that never ends must not keep the process from ending.
            thread = Thread(target=run, name="schema registry's answer", daemon=True)
            thread.start()
            thread.join(self._answer_s)
            if errors:
                raise errors[0]
            if answers:
                return answers[0]
            self._endless[name] = _Endless(thread, now + self._again_s)
        raise RegistryUnavailable("the schema registry begins to answer, and does not end: check its state")

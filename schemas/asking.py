"""Questions whose answers may never end, asked so that whoever asks goes on.

An HTTP client's time-outs are for each step of an answer: one that trickles in, byte by byte, never ends.
"""

import time
from collections.abc import Callable, Hashable
from threading import Thread
from typing import NamedTuple, TypeVar

from schemas.registry import RegistryUnavailable

T = TypeVar("T")


class _Endless(NamedTuple):
    """An answer that trickles in, and until when the question is not asked again meanwhile."""

    thread: Thread
    until: float


class Asking:
    """Asks one question after the other, each on a thread that is left alone when no whole answer comes in time.

    answer_s: how long is waited. again_s: how long a question is not asked again while its answer still trickles in,
    so that threads do not pile up.
    """

    def __init__(self, answer_s: float, again_s: float) -> None:
        self._answer_s = answer_s
        self._again_s = again_s
        self._endless: dict[Hashable, _Endless] = {}

    def ask(self, name: Hashable, question: Callable[[], T]) -> T:
        """Return the answer, or raise what the question raises; RegistryUnavailable when it does not end."""
        answers: list[T] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                answers.append(question())
            except Exception as error:  # noqa: BLE001 - raised by who waits for it
                errors.append(error)

        now = time.monotonic()
        self._endless = {known: e for known, e in self._endless.items() if e.thread.is_alive() and now < e.until}
        if name not in self._endless:
            # A daemon: an answer that never ends must not keep the process from ending.
            asking = Thread(target=run, name="schema registry's answer", daemon=True)
            asking.start()
            asking.join(self._answer_s)
            if errors:
                raise errors[0]
            if answers:
                return answers[0]
            self._endless[name] = _Endless(asking, now + self._again_s)
        raise RegistryUnavailable("the schema registry begins to answer, and does not end: check its state")

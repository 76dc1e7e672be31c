"""What came to the endpoint, counted: a line a minute at the most, and an alarm about what was refused."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import structlog

from domain.alarms import ring

EVERY_S: Final = 60.0


class Came(StrEnum):
    """What became of a request. Only `kept` and `not_ours` are answered with 200."""

    KEPT = "kept"
    NOT_OURS = "not_ours"
    FORGED = "forged"
    TOO_OLD = "too_old"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    NOT_KEPT = "not_kept"
    NOT_HERE = "not_here"


_REFUSED: Final = frozenset({Came.FORGED, Came.TOO_OLD})


class Tally:
    """Counts requests. Neither a body nor a signature is ever logged. hear: called with each, for metrics."""

    def __init__(self, every_s: float = EVERY_S, hear: Callable[[str], None] = lambda _: None) -> None:
        self.counts: Counter[Came] = Counter()
        self._every_s = every_s
        self._hear = hear
        self._told: Counter[Came] = Counter()
        self._rung = 0
        self._ring_at = 0.0
        self._log: Any = structlog.get_logger("deploy.webhooks")

    def note(self, came: Came, now: float, why: str = "") -> None:
        """Count one request. now: a monotonic clock, in seconds. why: of a refused one, for the alarm."""
        self.counts[came] += 1
        self._hear(came.value)
        if came in _REFUSED and now >= self._ring_at:
            self._ring_at = now + self._every_s
            refused = sum(self.counts[each] for each in _REFUSED)
            text = "webhooks without a valid signature were refused"
            ring(self._log, "webhook_refused", text, requests=refused - self._rung, why=why)
            self._rung = refused

    def tell(self) -> None:
        """Log what has come since the last time, if anything has."""
        since = self.counts - self._told
        if since:
            self._log.info("webhooks", **{str(came): count for came, count in sorted(since.items())})
            self._told = Counter(self.counts)

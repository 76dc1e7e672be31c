"""Whether a process has started, is ready, and lives: what it answers to probes, and why.

An outage of Kafka or PostgreSQL changes none of the three answers: the process waits it out, and a restart would not
help. It is ready from the moment on when it can work; then it stays so, until its work has ended with an error.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any


class Health:
    """limit_s: a loop that makes no turn for so long hangs."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._started = False
        self._ended = False
        self._outside: set[str] = set()
        self._ages: Callable[[], Mapping[str, float]] = dict

    def expect(self, reactions: Collection[str]) -> None:
        """Name the consumers that have to join their groups before this process is ready."""
        self._outside |= set(reactions)

    def joined(self, reaction: str) -> None:
        """Note that a consumer has joined its group."""
        self._outside.discard(reaction)

    def start(self) -> None:
        """Note that the checks at start have passed: schema, rights, topics, contracts."""
        self._started = True

    def end(self) -> None:
        """Note that the work has ended with an error, and that the process only waits to be scraped."""
        self._ended = True

    def watch(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """Watch the loops. ages: returns for each how many seconds ago it made a turn."""
        self._ages = ages

    @property
    def is_ready(self) -> bool:
        """Whether it has begun to work, and works."""
        return self._started and not self._outside and not self._ended

    def has_joined(self, reaction: str) -> bool:
        """Whether this consumer has joined its group."""
        return reaction not in self._outside

    def oldest_turn_s(self) -> float:
        """Return how long ago the slowest loop made a turn; 0 if there is none."""
        return max(self._ages().values(), default=0.0)

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Answer /live: whether all loops turn."""
        ages = self._ages()
        hanging = {name: round(age, 1) for name, age in ages.items() if age > self._limit_s}
        return not hanging, {
            "live": not hanging,
            "why": f"no turn for {self._limit_s:g} s: {', '.join(sorted(hanging))}" if hanging else "all loops turn",
            "loops": {name: round(age, 1) for name, age in sorted(ages.items())},
        }

    def started(self) -> tuple[bool, dict[str, Any]]:
        """Answer /started: whether the checks at start have passed."""
        why = "the checks at start have passed" if self._started else "database, topics and contracts are being checked"
        return self._started, {"started": self._started, "why": why}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Answer /ready: whether it has begun to work, and works."""
        if self._ended:
            why = "its work has ended with an error, which its log tells: the process ends after one more scrape"
            return False, {"ready": False, "why": why, "not_joined": sorted(self._outside)}
        if not self._started:
            return False, {"ready": False, "why": self.started()[1]["why"], "not_joined": sorted(self._outside)}
        outside = sorted(self._outside)
        why = f"not in their groups yet: {', '.join(outside)}" if outside else "it has begun to work"
        return not outside, {"ready": not outside, "why": why, "not_joined": outside}

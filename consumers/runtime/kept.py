"""Messages that wait for a row. They are kept here and tried again, and their partitions go on meanwhile.

No offset at or behind the first of them is committed, so that after a restart all comes again from there. What was done
behind them the inbox knows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from consumers.runtime.locks import RETRY_S
from consumers.runtime.reading import Read, order_of, place_of

KEPT_MAX: Final = 20_000
"""So many messages of one reader may wait; then it takes no more until some are done."""


class Kept:
    """Of one reader. begun: how often reading of a partition began anew, see domain.ports.source.Source."""

    def __init__(self, begun: Callable[[int], int], most: int = KEPT_MAX) -> None:
        self._begun = begun
        self._most = most
        # By order, or by place where no order can be read. Those that were tried last stand last.
        self._of: dict[object, list[Read]] = {}
        self._since: dict[int, int] = {}
        self._due_at = 0.0
        self._tried_at: float | None = None

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._of)

    @property
    def is_full(self) -> bool:
        """Whether no more should be taken."""
        return bool(self._of) and sum(map(len, self._of.values())) >= self._most

    def is_due(self, now: float) -> bool:
        """Whether what waits should be tried again."""
        return bool(self._of) and now >= self._due_at

    def keep(self, reads: Sequence[Read], now: float) -> None:
        """Keep these behind what waits already of their orders. They are tried later: others have half of the time."""
        if not self._of:
            self._since.clear()
        for read in reads:
            self._add(read)
        if reads:
            took_s = 0.0 if self._tried_at is None else now - self._tried_at
            self._due_at = now + max(RETRY_S, took_s)
        self._tried_at = None

    def take(self, most: int, now: float) -> Sequence[Read]:
        """Take out what was not tried for longest, at most so many, or all that waits of one order."""
        self._tried_at = now
        taken: list[Read] = []
        for whose, reads in list(self._of.items()):
            if taken and len(taken) + len(reads) > most:
                break
            taken += reads
            del self._of[whose]
        return taken

    def without_waiting(self, reads: Sequence[Read]) -> Sequence[Read]:
        """Keep those of orders that wait; return the others."""
        for read in reads:
            if _whose(read) in self._of:
                self._add(read)
        return [read for read in reads if _whose(read) not in self._of]

    def first(self) -> Mapping[int, int]:
        """Return the first offset that waits, of each partition."""
        found: dict[int, int] = {}
        for reads in self._of.values():
            for partition, offset in map(place_of, reads):
                found[partition] = min(offset, found.get(partition, offset))
        return found

    def forget(self) -> None:
        """Forget what comes again, for reading of its partition began anew."""
        anew = {partition for partition, count in self._since.items() if self._begun(partition) != count}
        if anew:
            kept = {whose: [r for r in reads if place_of(r)[0] not in anew] for whose, reads in self._of.items()}
            self._of = {whose: reads for whose, reads in kept.items() if reads}
        there = self.first()
        self._since = {partition: count for partition, count in self._since.items() if partition in there}

    def _add(self, read: Read) -> None:
        self._of.setdefault(_whose(read), []).append(read)
        partition = place_of(read)[0]
        self._since.setdefault(partition, self._begun(partition))


def _whose(read: Read) -> object:
    return order_of(read) or place_of(read)

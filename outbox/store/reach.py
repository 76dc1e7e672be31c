"""How often the sweep looks, and how far back, while somebody holds a snapshot.

The indexes of unfinished work have an entry for each operation and hold that was ever unfinished, until a vacuum
removes it. Under a snapshot none can be removed, so a look over such an index walks over all that ended since. A look
that touched many pages is therefore not made again at once. Claims, which are made each second, begin at a floor
meanwhile: no older order has an unfinished operation, but those that are remembered beside it.

An operation that is opened later for an order below the floor waits for the next look over everything, a minute at
most. So nothing is overlooked, whatever the floor is. Pages are counted, and no times: a busy machine changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from outbox.schema.mapping import BLOCK

LOWEST: Final = -(2**63)
"""No number is lower."""
MANY: Final = 1_000
"""Pages of the table that a look may touch without consequences: some 10 ms of CPU."""
PAGES_A_ROW: Final = 5
"""What is locked and written is no walk."""
SPACED_S: Final = 0.002
"""Seconds for each page that a look touched: it then takes some thousandths of one core."""
SPACED_MOST_S: Final = 60.0
YOUNG: Final = 5 * BLOCK
"""Of the youngest orders, by their numbers, operations are opened every moment: they are above the floor. Processes
draw numbers in blocks, so an order of a quiet process may have a lower number than some that came before it."""
OLD_MOST: Final = 100
"""Older orders that are remembered. If more have unfinished operations, the floor is at the next one."""


def spaced_s(pages: float) -> float:
    """Return seconds from a look that touched so many pages to the next one like it."""
    return min(pages * SPACED_S, SPACED_MOST_S)


class Bounds(NamedTuple):
    """Which orders a claim looks at. first: the lowest number. old: lower ones besides, in ascending order."""

    first: int = LOWEST
    old: Sequence[int] = ()


EVERYTHING: Final = Bounds()


class Reach:
    """Where the claims of one kind begin. Times are seconds of a monotonic clock.

    bounds: of the next claim. There is no floor while few pages are touched.
    """

    def __init__(self) -> None:
        self.bounds = EVERYTHING
        self._is_far = False
        self._next = 0.0
        self._ends = 0.0

    def look_from(self, now: float) -> Bounds | None:
        """Return where to look for a new floor now, before the next claim; None: no look is needed.

        A floor ends after a while: then the look is over everything.
        """
        if self._has_ended(now):
            return EVERYTHING
        return self.bounds if self._is_far and now >= self._next else None

    def note_looked(self, bounds: Bounds, newest: int, unfinished: Sequence[int], pages: int, now: float) -> None:
        """Note a look from these bounds that touched so many pages.

        newest: the highest number of all. unfinished: the lowest numbers below `below(newest)` with an unfinished
        operation, in ascending order; OLD_MOST + 1 of them, if there are as many.
        """
        is_over = self._has_ended(now) and pages <= MANY // 2
        old, more = unfinished[:OLD_MOST], unfinished[OLD_MOST:]
        first = more[0] if more else max(bounds.first, below(newest))
        if bounds is EVERYTHING:
            self._ends = now + spaced_s(pages)
            # From the new floor on a look is short, and may come at once; unless so much is unfinished.
            self._next = self._ends if more else now
        else:
            self._next = now + spaced_s(pages)
        self._is_far = False
        self.bounds = EVERYTHING if is_over else Bounds(first, tuple(old))

    def note_claimed(self, rows: int, pages: int) -> None:
        """Note a claim of so many rows that touched so many pages."""
        self._is_far = pages - PAGES_A_ROW * rows > MANY

    def _has_ended(self, now: float) -> bool:
        return self.bounds is not EVERYTHING and now >= self._ends


def below(newest: int) -> int:
    """Return the lowest number of the youngest orders. newest: the highest number of all."""
    return newest - YOUNG


class Spacing:
    """When one kind of look may be made again. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it may be made now."""
        return now >= self._next

    def note(self, pages: int, now: float) -> None:
        """Note one that touched so many pages."""
        if pages > MANY:
            self._next = now + spaced_s(pages)


EVER: Final = datetime.min.replace(tzinfo=UTC)
LATE: Final = timedelta(seconds=5)
"""A transaction that commits so long after its beginning may bring what was due at its beginning."""


class DueReach:
    """Where the claims by due time of one table begin. Times are seconds of a monotonic clock.

    A claim takes all that is due, unless it is full. So the next one need not look at what was due long before it; but
    a slow transaction may bring it, or who held a row. While a claim of everything touches many pages, it is made now
    and then only.
    """

    def __init__(self) -> None:
        self._since = EVER
        self._ends = 0.0

    def since(self, now: float) -> datetime:
        """Return the due time at which the next claim begins."""
        return self._since if now < self._ends else EVER

    def note(self, since: datetime, upto: datetime, pages: int, now: float) -> None:
        """Note a claim that began there and touched so many pages. upto: what was due before was taken."""
        self._since = upto - LATE if upto > EVER + LATE else EVER
        if since == EVER:
            self._ends = now + spaced_s(pages) if pages > MANY else now

"""How much the search for orders that stand still reads at once, and how long that may take."""

from datetime import timedelta
from typing import Final

SLICE_LEAST: Final = timedelta(seconds=1)
SLICE_MIN: Final = timedelta(hours=1)
SLICE_MAX: Final = timedelta(days=3_650)
SLICE_QUICK_S: Final = 0.05
SLICE_SLOW_S: Final = 0.25
LIMIT_S: Final = 1.0
LIMIT_MAX_S: Final = 30.0
"""Far below the time after which a server counts as one that stands still."""


class Pace:
    """slice: of the orders' time of creation. limit_s: longer no statement may take that reads one.

    A quiet time makes the slices grow, and the dense time behind it is then too much at once. So what failed is tried
    with a small slice; where that is too much, too, with more time; and with all the time that there is, smaller still.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.slice = SLICE_MIN
        self.limit_s = self._limit_s = limit_s

    def took(self, seconds: float) -> None:
        """Have the next slice take a time that neither holds up others nor needs many statements."""
        self.limit_s = max(min(self.limit_s, 2 * seconds), self._limit_s)
        if seconds < SLICE_QUICK_S:
            self.slice = min(self.slice * 8, SLICE_MAX)
        elif seconds > SLICE_SLOW_S and self.slice > SLICE_MIN:
            # Not below: what a small slice costs is mostly not the slice's.
            self.slice = max(self.slice / 2, SLICE_MIN)

    def failed(self) -> bool:
        """Have the next one take less, or give it more time; return whether neither was possible."""
        if self.slice > SLICE_MIN:
            self.slice = SLICE_MIN
        elif self.limit_s < LIMIT_MAX_S:
            self.limit_s = min(2 * self.limit_s, LIMIT_MAX_S)
        elif self.slice > SLICE_LEAST:
            self.slice = max(self.slice / 8, SLICE_LEAST)
        else:
            return True
        return False

"""How much the search for orders that stand still reads at once, and how long a read may take."""

from datetime import timedelta
from typing import Final

SLICE_LEAST: Final = timedelta(seconds=1)
SLICE_MIN: Final = timedelta(hours=1)
SLICE_MAX: Final = timedelta(days=3_650)
SLICE_QUICK_S: Final = 0.05
SLICE_SLOW_S: Final = 0.25
LIMIT_S: Final = 1.0
LIMIT_MAX_S: Final = 30.0
"""Far below the time after which a server counts as standing still."""


class Pace:
    """slice: an interval of the orders' creation times. limit_s: bound of a statement that reads one slice.

    In a time with few orders slices grow, and the first busy hour after it may then be too much. A slice that failed is
    tried again as a small slice, then with more time, then with all the time and smaller still.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.slice = SLICE_MIN
        self.limit_s = self._limit_s = limit_s

    def record(self, seconds: float) -> None:
        """Adapt the next slice to a slice's duration: short enough for others, long enough to need few statements."""
        self.limit_s = max(min(self.limit_s, 2 * seconds), self._limit_s)
        if seconds < SLICE_QUICK_S:
            self.slice = min(self.slice * 8, SLICE_MAX)
        elif seconds > SLICE_SLOW_S and self.slice > SLICE_MIN:
            # Not smaller: a small slice costs mostly fixed time.
            self.slice = max(self.slice / 2, SLICE_MIN)

    def back_off(self) -> bool:
        """After a failure: shrink the next slice or give it more time; return True if neither is possible."""
        if self.slice > SLICE_MIN:
            self.slice = SLICE_MIN
        elif self.limit_s < LIMIT_MAX_S:
            self.limit_s = min(2 * self.limit_s, LIMIT_MAX_S)
        elif self.slice > SLICE_LEAST:
            self.slice = max(self.slice / 8, SLICE_LEAST)
        else:
            return True
        return False

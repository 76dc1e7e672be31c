"""Medians, percentiles and ratios of what was measured. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

GOAL_AGAINST = ("limit", "limit-core", "handwritten", "restate")
"""With whom our figures are compared in the last lines of the table."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 0) -> str:
        """Write median (least-most)."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Summarize the rounds; there is at least one."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of all values do not exceed; NaN of none."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Compare by round: interleaved rounds met the same noise. None when no round has both."""
    both = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
    return spread(both) if both else None


def window_costs(samples: Sequence[tuple[int, float]]) -> list[float]:
    """Turn (orders finished, CPU seconds so far) into CPU milliseconds an order between neighbours."""
    return [
        1000 * (cpu - before_cpu) / (done - before)
        for (before, before_cpu), (done, cpu) in pairwise(samples)
        if done > before
    ]


def part_costs(samples: Sequence[tuple[int, float]], parts: int) -> list[float]:
    """Turn (orders finished, CPU seconds so far) into CPU milliseconds an order of each of so many equal parts, means.

    A part reaches from reading to reading: those at, or first after, where it begins and ends.
    """
    if not samples:
        return []
    first, last = samples[0][0], samples[-1][0]
    bounds = [first + (last - first) * n / parts for n in range(parts + 1)]
    return window_costs([next(s for s in samples if s[0] >= bound) for bound in bounds])

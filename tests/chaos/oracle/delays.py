"""How long orders wait after a fault's end for their first outcome.

The clock of an attempt starts when its message was acknowledged, or when the last fault that overlapped its waiting
ended. So that none hides behind fault after fault, the calm that it waited through in all is bounded, too.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from tests.chaos.clock import told
from tests.chaos.dealt import Dealt
from tests.chaos.oracle.case import Index, Violation

MEDIAN_MAX_S: Final = 15.0
WORST_MAX_S: Final = 60.0
CALM_MAX_S: Final = 120.0
STALLS: Final = (("frozen relay", 13.0), ("frozen sweep", 5.0), ("dump", 6.0), ("row locked", 8.0))
"""While this is all that is wrong, events go on; seconds between two of them. Another relay sends within ten."""
STALL_MARGIN_S: Final = 1.5
PEACE: Final = "(no fault)"


@dataclass(frozen=True, slots=True)
class Wait:
    """One attempt. waited_s: since the last fault that it met; calm_s: outside all faults. kinds: those it met."""

    order_id: str
    attempt: int
    waited_s: float
    calm_s: float
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delay:
    """The waits of the orders that met a kind of fault."""

    kind: str
    dealt: int
    orders: int
    median_s: float
    worst_s: float


def waits(index: Index) -> Iterator[Wait]:
    """Measure every attempt that has an outcome."""
    dealt = sorted(index.case.dealt, key=lambda one: one.begun_at)
    for name, sent in index.asked.items():
        outcome = index.first_outcomes.get(name)
        if outcome is None:
            continue
        place = (sent.topic, sent.partition)
        met = [d for d in dealt if d.begun_at < outcome.at and d.ended_at > sent.at and d.delays(place)]
        since = max([sent.at, *(d.ended_at for d in met)])
        calm_s = max(0.0, outcome.at - sent.at) - _covered(met, sent.at, outcome.at)
        yield Wait(*name, max(0.0, outcome.at - since), calm_s, frozenset(d.fault.kind for d in met))


def _covered(met: Sequence[Dealt], start: float, end: float) -> float:
    """Return how much of a time lies within these faults."""
    total, reached = 0.0, start
    for dealt in met:
        begin, finish = max(dealt.begun_at, reached), min(dealt.ended_at, end)
        if finish > begin:
            total += finish - begin
            reached = finish
    return total


def delays(index: Index, found: Sequence[Wait]) -> list[Delay]:
    """Sum up by kind of fault; those who met none stand last."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for wait in found:
        for kind in wait.kinds or {PEACE}:
            by_kind[kind].append(wait.waited_s)
    dealt: dict[str, int] = defaultdict(int)
    for one in index.case.dealt:
        dealt[one.fault.kind] += 1
    kinds = [*sorted(dealt), *([PEACE] if PEACE in by_kind else [])]
    return [
        Delay(
            kind,
            dealt[kind],
            len(by_kind[kind]),
            round(median(by_kind[kind]), 2) if by_kind[kind] else 0.0,
            round(max(by_kind[kind], default=0.0), 2),
        )
        for kind in kinds
    ]


def check_delays(index: Index, found: Sequence[Wait], summed: Sequence[Delay]) -> Iterator[Violation]:
    """Hold the waits to their bounds."""
    for delay in summed:
        if delay.median_s > MEDIAN_MAX_S:
            yield Violation("late", delay.kind, f"median {delay.median_s} s over {delay.orders} orders")
    for wait in found:
        if wait.waited_s > WORST_MAX_S:
            what = f"attempt {wait.attempt}: {wait.waited_s:.1f} s after the last fault's end"
            yield Violation("late", wait.order_id, what, index.where(wait.order_id))
        elif wait.calm_s > CALM_MAX_S:
            what = f"attempt {wait.attempt}: {wait.calm_s:.1f} s of calm in all"
            yield Violation("late", wait.order_id, what, index.where(wait.order_id))
    for order_id in index.case.late_innocent:
        what = "no outcome while unreadable batches waited, though none stood before it"
        yield Violation("innocent", order_id, what, index.where(order_id))
    yield from _check_stalls(index)


def _check_stalls(index: Index) -> Iterator[Violation]:
    """See that events go on while nothing is wrong but what others stand in for."""
    times = sorted(fact.at for fact in index.case.found.facts)
    for dealt in index.case.dealt:
        most_s = next((seconds for name, seconds in STALLS if dealt.title.startswith(name)), None)
        if most_s is None or dealt.ended_at - dealt.begun_at < most_s + STALL_MARGIN_S or not _alone(index, dealt):
            continue
        inside = [at for at in times if dealt.begun_at <= at <= dealt.ended_at]
        gap_s = max(b - a for a, b in pairwise([dealt.begun_at, *inside, dealt.ended_at]))
        if gap_s > most_s:
            what = f"nothing was sent for {gap_s:.1f} s, begun {told(dealt.begun_at)}"
            yield Violation("stall", f"{dealt.title} ({dealt.fault.number})", what)


def _alone(index: Index, dealt: Dealt) -> bool:
    return not any(
        other is not dealt
        and other.places != frozenset()
        and other.begun_at < dealt.ended_at
        and other.ended_at > dealt.begun_at
        for other in index.case.dealt
    )

"""Where an order's time goes, in two tables. Pure."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.figures import percentile
from tests.bench.hops.steps import KINDS

Result = dict[str, Any]
Steps = Sequence[dict[str, Any]]
HEAD: Final = "| step | p50 ms | p99 ms | mean ms | share |\n|---|---|---|---|---|"


def hops_table(result: Result) -> str:
    """Show the time by kind of step, then the medians by topic."""
    orders: Sequence[Steps] = result["steps"]
    if not orders:
        return f"{result['contestant']}: nothing was measured: {'; '.join(result['failures'])}"
    whole = [sum(step["ms"] for step in steps) for steps in orders]
    plain = result["plain_ms"]
    head = (
        f"{result['contestant']}: {len(orders)} paid orders at {result['rate']:g}/s, from due until seen; "
        f"without spans p50 {plain['p50']:.1f} ms, p99 {plain['p99']:.1f} ms; "
        f"check: {'; '.join(result['failures']) or 'right'}"
    )
    lines = [head, "", HEAD, *(_line(kind, times_of(orders, kind), whole) for kind in KINDS)]
    return "\n".join([*lines, _line("all", whole, whole), "", *_by_topic(orders)])


def times_of(orders: Sequence[Steps], kind: str) -> list[float]:
    """Return what each order spent in this kind of step, in ms, over all its topics."""
    return [sum(step["ms"] for step in steps if step["kind"] == kind) for steps in orders]


def _line(name: str, times: Sequence[float], whole: Sequence[float]) -> str:
    figures = (percentile(times, 0.5), percentile(times, 0.99), statistics.mean(times))
    shown = " | ".join(f"{figure:.2f}" for figure in figures)
    return f"| {name} | {shown} | {sum(times) / sum(whole):.0%} |"


def _by_topic(orders: Sequence[Steps]) -> list[str]:
    """Show the median of each step of each topic: of relay and acknowledgement, those of the topic's own message."""
    topics = dict.fromkeys(step["topic"] for step in orders[0])
    lines = [f"| p50 ms | {' | '.join(topics)} |", "|---" * (len(topics) + 1) + "|"]
    for kind in KINDS:
        cells = []
        for topic in topics:
            times = [step["ms"] for steps in orders for step in steps if (step["topic"], step["kind"]) == (topic, kind)]
            cells.append(f"{percentile(times, 0.5):.2f}" if times else "")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines

"""The kinds of pressure by name, as the command line asks for them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.goals import Goal
from tests.bench.places import Plan
from tests.bench.pressure import hot, snapshot
from tests.bench.servers import Servers

KINDS: Final = ("snapshot", "hot-sku")


class Pressure(NamedTuple):
    """What was asked for. kind: one of KINDS; empty: none. seconds: under a snapshot."""

    kind: str
    seconds: float


def contestants_for(kind: str) -> tuple[str, ...]:
    """Return who is measured if nobody is named."""
    return (hot.WHO,) if kind == "hot-sku" else ("ours",)


def press(
    servers: Servers,
    plan: Plan,
    contestants: Sequence[Contestant],
    latency_ms: float,
    rounds: int,
    pressure: Pressure,
    progress: Progress,
) -> tuple[str, list[dict[str, Any]]]:
    """Measure; return the tables and all results."""
    if pressure.kind == "hot-sku":
        results = hot.press_on_one_sku(servers, plan, contestants, latency_ms, rounds, progress)
        return hot.hot_table(results), results
    results = [
        snapshot.press_under_snapshot(servers, plan, one, latency_ms, pressure.seconds, progress) for one in contestants
    ]
    return "\n\n".join(snapshot.snapshot_table(result) for result in results), results


def judge(results: Sequence[dict[str, Any]]) -> list[Goal]:
    """Judge what was measured and is right."""
    right = [result for result in results if not result["failures"]]
    hot_ones = [result for result in right if result["pressure"] == "hot-sku"]
    held = [goal for result in right if result not in hot_ones for goal in snapshot.snapshot_goals(result)]
    return held + hot.hot_goals(hot_ones)

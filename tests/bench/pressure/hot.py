"""Everybody wants one SKU: measured beside orders that are spread over all SKUs, in turn."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import Spread, ratio
from tests.bench.goals import Goal
from tests.bench.measuring import drain, running
from tests.bench.places import Plan
from tests.bench.servers import Servers
from tests.bench.turns import in_turn

RATE_LEAST: Final = 0.8
"""Orders a second for one SKU by those for all."""
WHO: Final = "ours-x2"
"""Two processes a consumer group: one alone never waits for another's lock."""

Result = dict[str, Any]


def press_on_one_sku(
    servers: Servers,
    plan: Plan,
    contestants: Sequence[Contestant],
    latency_ms: float,
    rounds: int,
    progress: Progress,
) -> list[Result]:
    """Measure each contestant with one SKU that every order wants, and without, so many rounds."""
    results: list[Result] = []
    for number in range(rounds):
        for contestant in contestants:
            for hot in in_turn(number):
                with running(servers, replace(plan, one_sku=hot), contestant, latency_ms) as run:
                    result = drain(run, max(20, int(plan.orders * contestant.weight)))
                    failures = run.check()
                about = {"contestant": contestant.name, "round": number, "hot": hot, "latency_ms": latency_ms}
                results.append({**about, "pressure": "hot-sku", **result, "failures": failures})
                wrong = "; ".join(failures) or "right"
                which = "one SKU" if hot else "all SKUs"
                rate = result["orders_per_s"]
                progress(f"round {number + 1}: {contestant.name}, {which}: {rate:,.0f} orders/s; {wrong}")
    return results


def ratio_of(results: Sequence[Result], name: str) -> Spread | None:
    """Return orders a second for one SKU by those for all, of the rounds in which both were right."""
    hot, spread = (
        {
            one["round"]: one["orders_per_s"]
            for one in results
            if one["contestant"] == name and one["hot"] == wanted and not one["failures"]
        }
        for wanted in (True, False)
    )
    return ratio(hot, spread)


def hot_table(results: Sequence[Result]) -> str:
    """Show orders a second, PostgreSQL's CPU, and the ratio."""
    lines = ["| contestant | SKUs | orders/s | PostgreSQL's CPU ms an order | check |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(one["contestant"] for one in results):
        for hot in (False, True):
            mine = [one for one in results if one["contestant"] == name and one["hot"] == hot]
            rate = statistics.median(one["orders_per_s"] for one in mine)
            cost = statistics.median(_postgresql(one) for one in mine)
            bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
            lines.append(f"| {name} | {'one for all' if hot else 'all'} | {rate:,.0f} | {cost:.3f} | {bad} |")
        compared = ratio_of(results, name)
        lines += ["", f"{name}, orders/s, one SKU by all: {compared.text(2) if compared else '-'}"]
    return "\n".join(lines)


def _postgresql(result: Mapping[str, Any]) -> float:
    return float(result["cpu_ms_per_order"]["postgresql"])


def hot_goals(results: Sequence[Result]) -> list[Goal]:
    """Judge the ratio."""
    goals = []
    for name in dict.fromkeys(one["contestant"] for one in results):
        compared = ratio_of(results, name)
        if compared is not None:
            gateway = f"{results[0]['latency_ms']:g} ms"
            goals.append(Goal(f"{name}: orders/s, one SKU by all", gateway, compared.median, least=RATE_LEAST))
    return goals

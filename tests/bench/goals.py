"""The goals of this module, each with the figure that was measured and whether it is reached. Pure."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tests.bench.contestants import CONTESTANTS
from tests.bench.figures import percentile, ratio
from tests.bench.history.compared import COST, full_by_empty
from tests.bench.layers.table import whole_by_plain
from tests.bench.report import gateway_of, latencies, ratios
from tests.bench.slow import by_round, figures_of
from tests.bench.sustained import CHAIN
from tests.bench.turns import CPU, ratios_of

Result = dict[str, Any]

LAYOUTS = ("ours", "ours-roles", "ours-x2", "ours-up2")
"""How this module may run on one machine: throughput is that of the best."""
THROUGHPUT = (("restate", 20.0), ("handwritten", 5.0), ("limit", 0.45), ("limit", 0.60))
"""Orders a second, at least so many times theirs."""
RATE = 20.0
"""Orders a second at which latency is judged."""
GATEWAY_CALLS = 2
"""Authorize and capture: their time is not this module's."""
BEYOND_GATEWAY_MS = 60.0
SLOW_THROUGHPUT_LEAST = 0.9
SLOW_P99_MOST = 1.3
SETTINGS_COST_MOST = 1.05
"""Python's CPU an order with metrics or traces by that without."""
CPU_RATIO = (0.9, 1.1)
HISTORY_RATIO = (0.9, 1.1)
"""CPU an order, Python and PostgreSQL, with a history by that on an empty database."""
RSS_RATIO_MOST = 1.05
"""Memory over the last quarter of the run by that over the second: 5 % is what allocators do by themselves."""
RSS_READINGS_LEAST = 8
RSS_MB_MOST = {"ours": 130.0, "ours-stripe": 165.0, "ours-x2": 300.0, "ours-up2": 300.0}
"""Of all processes together, at any reading."""
START_CPU_S_MOST = 1.5
SUSTAINED_P99_MOST = 4.0
"""Times p50, at half of the capacity."""
RATES_RATIO = (0.9995, 1.0005)
"""Of the topics, hop over hop: what is written as 1.000."""
LAYERS_LEAST = 0.5
"""Orders/s with three brokers, a standby, TLS and metrics by those without, on the same cores."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and between what it is to be. gateway: which answered. digits: so many are shown."""

    what: str
    gateway: str
    figure: float
    least: float | None = None
    most: float | None = None
    digits: int = 2

    @property
    def reached(self) -> bool:
        """Whether the figure is where it should be; one that could not be measured (NaN) is not."""
        above = self.least is None or self.figure >= self.least
        return above and (self.most is None or self.figure <= self.most)

    def wanted(self) -> str:
        """Say between what the figure is to be."""
        bounds = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {bound:,.{self.digits}f}" for word, bound in bounds if bound is not None)


def judge(mode: str, results: Sequence[Result]) -> list[Goal]:
    """Judge what was measured; a goal whose contestants took no part is left out, and so is what was wrong of ours."""
    judges: dict[str, Callable[[Sequence[Result]], list[Goal]]] = {
        "compare": lambda found: _throughput(found) + _latency(found),
        "slow": _slow,
        "endurance": _endurance,
        "turns": _turns,
        "history": _history,
        "start": _start,
        "layers": _layers,
        "sustained": _sustained,
    }
    if mode not in judges:
        return []
    return judges[mode]([one for one in results if not (CONTESTANTS[one["contestant"]].ours and one["failures"])])


def _throughput(results: Sequence[Result]) -> list[Goal]:
    found = []
    compared = [one for one in ratios(results) if one[0] in LAYOUTS]
    for latency_ms in dict.fromkeys(one[2] for one in compared):
        for theirs, times in THROUGHPUT:
            mine = [one for one in compared if one[1:3] == (theirs, latency_ms)]
            if mine:
                best, _, _, by = max(mine, key=lambda one: one[3].median)
                found.append(Goal(f"orders/s: {best} / {theirs}", f"{latency_ms:g} ms", by.median, least=times))
    return found


def _latency(results: Sequence[Result]) -> list[Goal]:
    found = []
    for latency_ms in dict.fromkeys(one["latency_ms"] for one in results):
        ours, restate = (_paid(results, name, latency_ms) for name in ("ours", "restate"))
        gateway = gateway_of("ours", latency_ms)
        if ours and latency_ms > 0:
            most = GATEWAY_CALLS * latency_ms + BEYOND_GATEWAY_MS
            what = f"p99 ms of ours at {RATE:g}/s"
            found.append(Goal(what, gateway, percentile(ours, 0.99), most=most, digits=0))
        elif ours and restate:
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                what = f"{name} ms of ours at {RATE:g}/s, beside restate's"
                theirs = percentile(restate, share)
                found.append(Goal(what, gateway, percentile(ours, share), most=theirs, digits=1))
    return found


def _paid(results: Sequence[Result], name: str, latency_ms: float) -> list[float]:
    mine = [one for one in results if (one["contestant"], one["latency_ms"]) == (name, latency_ms)]
    return latencies(mine, RATE)


def _slow(results: Sequence[Result]) -> list[Goal]:
    found = []
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        share = max(one["share"] for one in mine)
        for what, figure in figures_of(mine).items():
            compared = ratio(by_round(mine, figure, slow=True), by_round(mine, figure, slow=False))
            if compared is None:
                continue
            rate = what.startswith("orders/s")
            found.append(
                Goal(
                    f"{name}, {100 * share:g} % slow / none: {what}",
                    gateway_of(name, mine[0]["latency_ms"]),
                    compared.median,
                    least=SLOW_THROUGHPUT_LEAST if rate else None,
                    most=None if rate else SLOW_P99_MOST,
                )
            )
    return found


def _turns(results: Sequence[Result]) -> list[Goal]:
    return [
        Goal(f"{name}, with the settings / without: {what}", "", by.median, most=SETTINGS_COST_MOST, digits=3)
        for (name, what), by in ratios_of(results).items()
        if what == CPU
    ]


def _endurance(results: Sequence[Result]) -> list[Goal]:
    found = []
    for one in results:
        name, gateway = one["contestant"], gateway_of(one["contestant"], one["latency_ms"])
        least, most = CPU_RATIO
        what = f"{name}, CPU an order: the last orders / the first"
        found.append(Goal(what, gateway, one["cpu_ratio"], least=least, most=most, digits=3))
        if len(one["rss_mb"]) >= RSS_READINGS_LEAST:
            what = f"{name}, RSS: the last quarter / the second"
            growth = rss_growth([sum(each) for _, each in one["rss_mb"]])
            found.append(Goal(what, gateway, growth, most=RSS_RATIO_MOST, digits=3))
        if name in RSS_MB_MOST and one["rss_mb"]:
            largest = max(sum(each) for _, each in one["rss_mb"])
            found.append(Goal(f"{name}, RSS MB at the most", gateway, largest, most=RSS_MB_MOST[name], digits=0))
    return found


def _history(results: Sequence[Result]) -> list[Goal]:
    found = []
    least, most = HISTORY_RATIO
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        compared = full_by_empty(mine, name, COST)
        if compared is not None:
            made, gateway = mine[0]["made"]["history"], gateway_of(name, mine[0]["latency_ms"])
            what = f"{name}, {made:,} orders of history / empty: CPU an order"
            found.append(Goal(what, gateway, compared.median, least=least, most=most, digits=3))
    return found


def _start(results: Sequence[Result]) -> list[Goal]:
    spent = statistics.median(one["cpu_s"] for one in results) if results else math.nan
    return [Goal("CPU s until the first order is done", "0 ms", spent, most=START_CPU_S_MOST)]


def _layers(results: Sequence[Result]) -> list[Goal]:
    gateway = f"{results[0]['latency_ms']:g} ms" if results else ""
    return [
        Goal(f"orders/s: {name}, all layers / plain", gateway, by.median, least=LAYERS_LEAST)
        for name, by in whole_by_plain(results).items()
    ]


def _sustained(results: Sequence[Result]) -> list[Goal]:
    found = []
    for one in results:
        name, gateway = one["contestant"], gateway_of(one["contestant"], one["latency_ms"])
        p50, p99 = (percentile(one["latencies_ms"], share) for share in (0.5, 0.99))
        finished = one["finished"] / one["orders"]
        found += [
            Goal(f"{name}, orders finished / sent", gateway, finished, least=1.0, most=1.0, digits=3),
            Goal(f"{name}, p99 / p50", gateway, p99 / p50, most=SUSTAINED_P99_MOST),
        ]
        found += [
            Goal(f"{name}, {event} / {before}", gateway, by, least=least, most=most, digits=4)
            for (before, event), by in zip(pairwise(CHAIN), one["ratios"], strict=True)
            for least, most in (RATES_RATIO,)
        ]
    return found


def rss_growth(readings: Sequence[float]) -> float:
    """Compare the medians of the last quarter and of the second: the first fills what is kept for good."""
    quarter = len(readings) // 4
    return statistics.median(readings[-quarter:]) / statistics.median(readings[quarter : 2 * quarter])


def goals_table(goals: Sequence[Goal]) -> str:
    """Show each goal with its figure."""
    lines = ["| goal | gateway | wanted | figure | |", "|---|---|---|---|---|"]
    for goal in goals:
        figure, verdict = f"{goal.figure:,.{goal.digits}f}", "reached" if goal.reached else "not reached"
        lines.append(f"| {goal.what} | {goal.gateway} | {goal.wanted()} | {figure} | {verdict} |")
    return "\n".join(lines) if goals else ""


def goals_document(goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """Give them for the JSON document."""
    return [{**asdict(goal), "reached": goal.reached} for goal in goals]

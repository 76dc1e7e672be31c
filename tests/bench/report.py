"""The table of a comparison, and the ratios that the issue asks for."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.contestants import CONTESTANTS
from tests.bench.figures import GOAL_AGAINST, Spread, percentile, ratio, spread

Result = dict[str, Any]


def table(results: Sequence[Result]) -> str:
    """Show one line for each contestant and gateway latency."""
    rates = list(dict.fromkeys(one["rate"] for result in results for one in result.get("paced", ())))
    heads = [
        "contestant",
        "gateway",
        "orders/s (least-most)",
        *(f"p50 / p99 ms at {rate:g}/s" for rate in rates),
        "CPU ms an order: Python + PostgreSQL + Kafka",
        "cores busy",
        "WAL / Kafka bytes an order",
        "RSS MB",
        "check",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name, latency_ms in dict.fromkeys((one["contestant"], one["latency_ms"]) for one in results):
        mine = [one for one in results if (one["contestant"], one["latency_ms"]) == (name, latency_ms)]
        cells = _cells([one for one in mine if "orders_per_s" in one], rates)
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        lines.append(f"| {name} | {gateway_of(name, latency_ms)} | {' | '.join(cells)} | {bad} |")
    return "\n".join(lines)


def gateway_of(name: str, latency_ms: float) -> str:
    """Name the gateway: the sandbox takes the time it takes."""
    return "sandbox" if CONTESTANTS[name].sandbox else f"{latency_ms:g} ms"


def _cells(good: Sequence[Result], rates: Sequence[float]) -> list[str]:
    if not good:
        return ["-"] * (5 + len(rates))

    def median(figure: Callable[[Result], float]) -> float:
        return spread([figure(one) for one in good]).median

    def summed(group: str) -> list[float]:
        return [median(lambda one, who=who: one[group][who]) for who in ("python", "postgresql", "kafka")]  # type: ignore[misc]

    cpu, busy = summed("cpu_ms_per_order"), summed("busy_cores")
    sandbox = median(lambda one: one["cpu_ms_per_order"]["sandbox"])
    return [
        spread([one["orders_per_s"] for one in good]).text(),
        *(_latency(good, rate) for rate in rates),
        " + ".join(f"{ms:.2f}" for ms in cpu) + (f", sandbox {sandbox:.2f}" if sandbox else ""),
        "/".join(f"{cores:.2f}" for cores in busy),
        f"{median(_wal):,.0f} / {median(_kafka):,.0f}",
        f"{median(lambda one: sum(one['rss_mb'])):,.0f}",
    ]


def _wal(result: Result) -> float:
    return float(result["wal_bytes_per_order"])


def _kafka(result: Result) -> float:
    return float(result["kafka_bytes_per_order"])


def latencies(results: Sequence[Result], rate: float) -> list[float]:
    """Gather the latencies of paid orders at this rate, of all rounds together."""
    return [
        value
        for result in results
        for one in result.get("paced", ())
        if one["rate"] == rate
        for value in one["latencies_ms"]["paid"]
    ]


def _latency(results: Sequence[Result], rate: float) -> str:
    values = latencies(results, rate)
    return f"{percentile(values, 0.5):,.0f} / {percentile(values, 0.99):,.0f}" if values else "-"


def ratios(results: Sequence[Result]) -> list[tuple[str, str, float, Spread]]:
    """Compare orders/s of each of ours with the limit and the peers: (ours, theirs, gateway ms, ratio by round)."""

    def by_round(name: str, latency_ms: float) -> dict[int, float]:
        return {
            one["round"]: one["orders_per_s"]
            for one in results
            if one["contestant"] == name and one["latency_ms"] == latency_ms and "orders_per_s" in one
        }

    found = []
    names = dict.fromkeys(one["contestant"] for one in results)
    for latency_ms in dict.fromkeys(one["latency_ms"] for one in results):
        for ours in (name for name in names if CONTESTANTS[name].ours):
            for theirs in GOAL_AGAINST:
                compared = ratio(by_round(ours, latency_ms), by_round(theirs, latency_ms))
                if compared is not None:
                    found.append((ours, theirs, latency_ms, compared))
    return found


def ratio_lines(results: Sequence[Result]) -> str:
    """Show the ratios."""
    lines = ["| orders/s | gateway | ratio (least-most of the rounds) |", "|---|---|---|"]
    for ours, theirs, latency_ms, compared in ratios(results):
        lines.append(f"| {ours} / {theirs} | {gateway_of(ours, latency_ms)} | {compared.text(2)} |")
    return "\n".join(lines) if len(lines) > 2 else ""

"""What 1 % of slow gateway calls do to the other orders: measured with and without, in turn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import percentile, ratio
from tests.bench.measuring import drain, paced, running
from tests.bench.places import Plan
from tests.bench.servers import Servers

Figure = Callable[[dict[str, Any]], float]


def compare_slow(
    servers: Servers,
    plan: Plan,
    contestants: Sequence[Contestant],
    latency_ms: float,
    share: float,
    rounds: int,
    rates: Sequence[float],
    paced_s: float,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Measure each contestant of ours with this share of slow calls and without, rounds times."""
    results: list[dict[str, Any]] = []
    for number in range(rounds):
        for contestant in contestants:
            for slow_share in (0.0, share):
                with running(servers, plan, contestant, latency_ms) as run:
                    result = drain(run, int(plan.orders * contestant.weight), slow_share=slow_share)
                    result["paced"] = [paced(run, rate, paced_s, slow_share) for rate in rates if not run.failures]
                    result |= {
                        "contestant": contestant.name,
                        "round": number,
                        "share": slow_share,
                        "latency_ms": latency_ms,
                    }
                    result["failures"] = run.check()
                progress(f"round {number + 1}: {contestant.name}, {slow_share:.0%} slow: {_line(result)}")
                results.append(result)
    return results


def _line(result: dict[str, Any]) -> str:
    parts = [f"{result['orders_per_s']:,.0f} orders/s"]
    for one in result["paced"]:
        paid = one["latencies_ms"]["paid"]
        parts.append(f"at {one['rate']:g}/s p50 {percentile(paid, 0.5):.0f}, p99 {percentile(paid, 0.99):.0f} ms")
    return ", ".join(parts) + (f"; {'; '.join(result['failures'])}" if result["failures"] else "")


def slow_table(results: Sequence[dict[str, Any]]) -> str:
    """Show throughput and p99 of the orders without a slow call, against the same without any."""
    lines = [
        "| contestant | figure | without | with slow calls | ratio (least-most) | check |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        for what, figure in figures_of(mine).items():
            without, with_slow = by_round(mine, figure, slow=False), by_round(mine, figure, slow=True)
            compared = ratio(with_slow, without)
            shown = compared.text(2) if compared else ""
            lines.append(f"| {name} | {what} | {_median(without)} | {_median(with_slow)} | {shown} | {bad} |")
    return "\n".join(lines)


def figures_of(results: Sequence[dict[str, Any]]) -> dict[str, Figure]:
    """Name what is compared: throughput, and p99 at each rate, of the orders without a slow call."""
    figures: dict[str, Figure] = {"orders/s of the others": _throughput}
    for place, each in enumerate(results[0]["paced"]):
        figures[f"p99 ms of the others at {each['rate']:g}/s"] = partial(_p99, place)
    return figures


def by_round(results: Sequence[dict[str, Any]], figure: Figure, *, slow: bool) -> dict[int, float]:
    """Give the figure of each round, with slow calls or without."""
    return {one["round"]: figure(one) for one in results if bool(one["share"]) == slow}


def _throughput(result: dict[str, Any]) -> float:
    return float(result["orders_per_s"])


def _p99(place: int, result: dict[str, Any]) -> float:
    return percentile(result["paced"][place]["latencies_ms"]["paid"], 0.99)


def _median(by_round: dict[int, float]) -> str:
    return f"{percentile(list(by_round.values()), 0.5):,.0f}"

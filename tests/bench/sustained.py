"""Half of one's own capacity for minutes, open loop: every order counted, its latency, and the rates of the topics."""

import gc
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

from tests.bench import checks
from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import percentile
from tests.bench.measuring import drain, noting_failures, running
from tests.bench.places import Plan
from tests.bench.run import Run
from tests.bench.servers import Servers

Result = dict[str, Any]
Counts = Mapping[str, int]
SPENDERS: Final = ("python", "postgresql", "kafka")
LOAD: Final = 0.5
"""Of the capacity that was measured just before."""
CHAIN: Final = ("OrderConfirmed", "PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed")
EVERY_S: Final = 60.0
"""Between two readings of the topics."""
FLOWING_S: Final = 15.0
FLOWING_SHARE: Final = 0.25
"""Of the time, if that is shorter: the first reading."""


def sustain(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, minutes: float, progress: Progress
) -> Result:
    """Measure one's own capacity, then send half of it for so many minutes."""
    result: Result = {"contestant": contestant.name, "latency_ms": latency_ms, "minutes": minutes, "failures": []}
    with noting_failures(result), running(servers, plan, contestant, latency_ms) as run:
        capacity = drain(run, max(20, int(plan.orders * contestant.weight)))["orders_per_s"]
        rate = LOAD * capacity
        count = int(rate * 60 * minutes)
        progress(f"{contestant.name}: {capacity:,.0f} orders/s; encoding {count:,} orders for {rate:,.0f}/s")
        batch = run.prepare(count)
        before = run.usage()
        with _without_collector(), _reading(run, minutes) as readings:
            due = run.pace(batch, rate)
        run.wait_for_outcomes()
        after = run.usage()
        paid = [order.order_id for order, _ in batch if order.kind == "paid"]
        seen = {order_id: run.watcher.first_seen(order_id) for order_id in paid}
        finished = sum(order.order_id in run.watcher.seen for order, _ in batch)
        kinds = checks.expected({order.order_id: order.kind for order, _ in batch})
        result |= {
            "capacity": capacity,
            "rate": rate,
            "orders": count,
            "finished": finished,
            "latencies_ms": [round(1000 * (at - due[order_id]), 2) for order_id, at in seen.items() if at is not None],
            "readings": readings,
            "ratios": hop_ratios(readings[0], readings[-1], kinds.events(reactions=True)),
            "ratios_each": [hop_ratios(*pair, kinds.events(reactions=True)) for pair in pairwise(readings)],
            "rss_mb": run.processes.rss_mb(),
            "cpu_ms_per_order": {who: 1000 * (after.cpu_s[who] - before.cpu_s[who]) / count for who in SPENDERS},
        }
        result["failures"] = run.check()
    return result


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the bench's own collector away: to look through all these orders would hold up the next ones."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def _reading(run: Run, minutes: float) -> Iterator[list[Counts]]:
    """Count the messages of the topics from when they flow, every EVERY_S, and at the end.

    In a thread: the load must not wait.
    """
    readings: list[Counts] = []
    over = threading.Event()

    def read() -> None:
        since = time.monotonic()
        for at in reading_times(60 * minutes):
            if over.wait(since + at - time.monotonic()):
                return
            readings.append(run.counts(CHAIN))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield readings
    finally:
        over.set()
        thread.join()
        readings.append(run.counts(CHAIN))


def reading_times(seconds: float) -> list[float]:
    """Return when the topics are counted, in seconds from the begin; the end is one more.

    The first is when orders flow: as many are under way then as at the end. No span is much shorter than the others.
    """
    first = min(FLOWING_S, FLOWING_SHARE * seconds)
    more = max(0, round((seconds - first) / EVERY_S) - 1)
    return [first, *(first + number * EVERY_S for number in range(1, more + 1))]


def hop_ratios(begin: Counts, end: Counts, expected: Counts) -> list[float]:
    """Divide each topic's messages of a time by those of the topic before, and by what the orders make of that.

    1 if nothing was lost, and no more came under way meanwhile than was finished. NaN where nothing came.
    """
    ratios = []
    for before, topic in pairwise(CHAIN):
        came, ahead = (end[one] - begin[one] for one in (topic, before))
        share = expected[topic] / expected[before] if expected[before] else 0.0
        ratios.append(came / ahead / share if ahead and share else float("nan"))
    return ratios


def sustained_table(results: Sequence[Result]) -> str:
    """Show the load, the latency, and the ratios of the whole time and of the worst minute."""
    heads = (
        "contestant",
        "capacity",
        "sent at",
        "minutes",
        "orders, finished",
        "p50 / p99 / most ms",
        "topic rates, hop over hop",
        "furthest from 1 in a minute",
        "CPU ms an order: Python + PostgreSQL + Kafka",
        "RSS MB",
        "check",
    )
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for one in results:
        bad = "; ".join(one["failures"]) or "right"
        if "ratios" not in one:
            lines.append(f"| {one['contestant']} |" + " - |" * (len(heads) - 2) + f" {bad} |")
            continue
        times = one["latencies_ms"]
        shown = " / ".join(f"{percentile(times, share):,.0f}" for share in (0.5, 0.99, 1.0))
        ratios = ", ".join(f"{ratio:.3f}" for ratio in one["ratios"])
        worst = max((ratio for each in one["ratios_each"] for ratio in each), key=lambda ratio: abs(ratio - 1))
        cpu = " + ".join(f"{one['cpu_ms_per_order'][who]:.2f}" for who in SPENDERS)
        lines.append(
            f"| {one['contestant']} | {one['capacity']:,.0f}/s | {one['rate']:,.0f}/s | {one['minutes']:g} "
            f"| {one['orders']:,}, {one['finished']:,} | {shown} | {ratios} | {worst:.3f} "
            f"| {cpu} | {sum(one['rss_mb']):,.0f} | {bad} |"
        )
    return "\n".join(lines)

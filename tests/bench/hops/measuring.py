"""An open loop with every span kept, and the same without beside it: what keeping them costs must be seen."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import orjson

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import percentile
from tests.bench.hops.steps import Published, Spans
from tests.bench.launch import FILE
from tests.bench.measuring import noting_failures, paced, running, warm_until_settled
from tests.bench.places import Plan
from tests.bench.run import Run
from tests.bench.servers import Servers, folder_of_logs

Result = dict[str, Any]
NS: Final = 1_000_000_000


def measure_hops(
    servers: Servers,
    plan: Plan,
    contestant: Contestant,
    latency_ms: float,
    rate: float,
    seconds: float,
    progress: Progress,
    settings: Mapping[str, str] | None = None,
) -> Result:
    """Measure one process at this rate, without and with its spans kept. settings: of the measured process besides."""
    launched = replace(contestant, shared_gateway=True)  # by tests.bench.launch, which keeps spans
    result: Result = {
        "contestant": contestant.name,
        "latency_ms": latency_ms,
        "rate": rate,
        "steps": [],
        "failures": [],
    }
    more = dict(settings or {})
    with noting_failures(result):
        with running(servers, plan, launched, latency_ms, more) as run:
            warm_until_settled(run, rate)
            plain = paced(run, rate, seconds)["latencies_ms"]["paid"]
            result["failures"] += run.check()
        result["plain_ms"] = {name: percentile(plain, share) for name, share in (("p50", 0.5), ("p99", 0.99))}
        progress(f"without spans: p50 {result['plain_ms']['p50']:.1f} ms, p99 {result['plain_ms']['p99']:.1f} ms")
        file = folder_of_logs(servers) / f"{contestant.name}.hops.jsonl"
        with running(servers, plan, launched, latency_ms, {**more, FILE: str(file)}) as run:
            warm_until_settled(run, rate)
            orders = _publish(run, rate, seconds)
            prefix = run.prefix
            result["failures"] += run.check()
        # Written at the end of the process.
        spans = Spans.of(map(orjson.loads, file.read_bytes().splitlines()), prefix)
        each = [spans.steps_of(order) for order in orders]
        if lost := sum(steps is None for steps in each):
            result["failures"].append(f"{lost} orders of which a span is missing")
        result["steps"] = [[asdict(step) for step in steps] for steps in each if steps]
    return result


def _publish(run: Run, rate: float, seconds: float) -> list[Published]:
    """Publish orders when they are due; return the paid ones when their outcome was seen."""
    batch = run.prepare(int(rate * seconds))
    since = time.time_ns() - time.perf_counter_ns()
    due = run.pace(batch, rate)
    run.wait_for_outcomes()
    found = []
    for order, _ in batch:
        seen = run.watcher.first_seen(order.order_id)
        if order.kind == "paid" and seen is not None:
            times = (round(at * NS) + since for at in (due[order.order_id], seen))
            found.append(Published(order.order_id, *times))
    return found

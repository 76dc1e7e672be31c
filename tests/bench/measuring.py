"""One measurement: a contestant on a fresh database and fresh topics; throughput, cost, latency, and the check."""

import math
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench.contestants import Contestant
from tests.bench.places import Plan, place_for
from tests.bench.processes import Failed, Processes
from tests.bench.run import Run
from tests.bench.servers import Servers
from tests.bench.watching import Watcher

WARM_WAVES = 2
"""The first lets everybody connect and join, the second meets each process with the partitions that it keeps."""
WARM_ORDERS = (30, 1000)
"""Orders of a wave, at the least and at the most; between them WARM_WEIGHT times the weight."""
WARM_WEIGHT = 50
LOOP_S = 8.0
LOOPS_MAX = 6
SETTLED = 0.9
"""Of the CPU of the loop before: a smaller step down counts as none."""


@contextmanager
def running(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, more: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """Run a contestant, warmed up."""
    with ExitStack() as stack:
        place = stack.enter_context(place_for(servers, plan, contestant, latency_ms, more))
        watcher = stack.enter_context(Watcher(servers.clients, place.prefix, plan.partitions))
        commands = [contestant.argv(plan.peers_python, arguments) for arguments in contestant.processes]
        processes = stack.enter_context(Processes(commands, place.settings, place.log))
        run = Run(servers, plan, contestant, place, processes, watcher)
        warm_up(run)
        yield run


def warm_up(run: Run) -> None:
    """Let everybody connect, prepare statements and find their rhythm. Raises Failed if that does not work."""
    least, most = WARM_ORDERS
    count = min(most, max(least, int(WARM_WEIGHT * run.contestant.weight)))
    for _ in range(WARM_WAVES):
        run.publish(run.prepare(count))
        if not run.wait_for_outcomes():
            raise Failed(run.failures[-1], run.processes.log_end())
        run.wait_until_shared()
    run.wait_until_quiet()


def warm_until_settled(run: Run, rate: float) -> None:
    """Send orders at this rate, not counted, until Kafka's CPU for them no longer falls, within a bound.

    The JVM compiles what is used often. Beside it a lone order waits: with three new brokers on two cores we saw a p50
    of 378, 180 and 101 ms in three loops of 10 s, one after the other.
    """
    last = math.inf
    for _ in range(LOOPS_MAX):
        before = run.usage().cpu_s["kafka"]
        paced(run, rate, LOOP_S)
        spent = run.usage().cpu_s["kafka"] - before
        if run.failures or spent > SETTLED * last:
            return
        last = spent


def drain(run: Run, count: int, duplicates: float = 0.0, slow_share: float = 0.0) -> dict[str, Any]:
    """Publish all at once: orders a second until the last outcome is seen, and what an order costs.

    Orders with a slow gateway call are not waited for in that figure: they are 3 s late by themselves.
    """
    batch = run.prepare(count, slow_share)
    before = run.usage()
    begun = time.perf_counter()
    run.publish(batch)
    again = batch[: int(count * duplicates)]
    run.publish(again)
    run.sent_twice += len(again)
    published_s = time.perf_counter() - begun
    complete = run.wait_for_outcomes()
    prompt = [order.order_id for order, _ in batch if not order.slow]
    ended = max((run.watcher.first_seen(order_id) or begun for order_id in prompt), default=begun)
    if complete:
        run.wait_until_quiet()
    after = run.usage()
    finished = sum(order_id in run.watcher.seen for order_id in prompt)
    seconds = ended - begun
    costs = {who: after.cpu_s[who] - before.cpu_s[who] for who in after.cpu_s}
    return {
        "orders": count,
        "finished": finished,
        "orders_per_s": finished / seconds if seconds > 0 else 0.0,
        "seconds": seconds,
        "publish_s": published_s,
        "cpu_ms_per_order": {who: 1000 * spent / count for who, spent in costs.items()},
        "busy_cores": {who: spent / (after.at - before.at) for who, spent in costs.items()},
        "wal_bytes_per_order": (after.wal_bytes - before.wal_bytes) / count,
        "kafka_bytes_per_order": (after.kafka_bytes - before.kafka_bytes) / count,
        "rss_mb": run.processes.rss_mb(),
    }


def paced(run: Run, rate: float, seconds: float, slow_share: float = 0.0) -> dict[str, Any]:
    """Open loop: every latency counts from when the order was due. Those of paid orders, slow ones apart."""
    batch = run.prepare(int(rate * seconds), slow_share)
    due = run.pace(batch, rate)
    run.wait_for_outcomes()
    latencies: dict[str, list[float]] = {"paid": [], "slow": [], "failed": []}
    for order, _ in batch:
        seen = run.watcher.first_seen(order.order_id)
        if seen is not None:
            kind = "slow" if order.slow else "paid" if order.kind == "paid" else "failed"
            latencies[kind].append(round(1000 * (seen - due[order.order_id]), 2))
    return {"rate": rate, "latencies_ms": latencies}


def measure(
    servers: Servers,
    plan: Plan,
    contestant: Contestant,
    latency_ms: float,
    rates: Sequence[float],
    paced_s: float,
) -> dict[str, Any]:
    """Measure and check. A contestant that cannot run is a result with failures, not the end of the run."""
    result: dict[str, Any] = {"contestant": contestant.name, "latency_ms": latency_ms, "failures": []}
    with noting_failures(result), running(servers, plan, contestant, latency_ms) as run:
        result |= drain(run, max(20, int(plan.orders * contestant.weight)), plan.duplicates)
        result["paced"] = [paced(run, rate, paced_s) for rate in rates if not run.failures]
        result["failures"] = run.check()
        if result["failures"]:
            result["log"] = run.processes.log_end()
    return result


@contextmanager
def noting_failures(result: dict[str, Any]) -> Iterator[None]:
    """Note what is raised inside as a failure, and the end of the log: one that cannot run is a result, too."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - as the docstring says
        result["failures"].append(without_passwords(str(error.args[0] if error.args else type(error).__name__)))
        result["log"] = without_passwords(error.log) if isinstance(error, Failed) else traceback.format_exc()


def without_passwords(text: str) -> str:
    """Mask what a connection string would give away."""
    return re.sub(r"(password=|://[^:@/ ]+:)[^@\s]+", r"\1***", text)

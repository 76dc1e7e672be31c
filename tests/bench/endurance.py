"""Whether an order costs the same after half a million: CPU by /proc, memory of every process, sizes of the tables."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import part_costs, window_costs
from tests.bench.measuring import running
from tests.bench.orders import Order
from tests.bench.places import Plan
from tests.bench.run import LOOK_S, Run
from tests.bench.servers import Servers

SPENDERS = ("python", "postgresql", "kafka")
SPAN = 20_000
"""Orders at the beginning, after the warm-up, and at the end that are compared."""
TENTHS = 10
"""Parts of the run whose means are shown beside: they tell a trend from an uneven end."""
WINDOW = 2_000
BACKLOG_MAX = 8_000
"""Orders that are under way at the most, if nothing else is said: the load is high and even, and no queue grows."""
CHUNK = 1_000
TOLD = 20_000
"""Orders between two lines of progress."""
STALL_S = 60.0
_TABLES = """
SELECT coalesce(p.relname, c.relname), sum(pg_total_relation_size(c.oid))::bigint, sum(greatest(c.reltuples, 0))::bigint
  FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 2 DESC
"""


def endure(
    servers: Servers,
    plan: Plan,
    contestant: Contestant,
    latency_ms: float,
    count: int,
    progress: Progress,
    *,
    backlog: int = BACKLOG_MAX,
) -> dict[str, Any]:
    """Send this many orders after SPAN of warm-up, at most backlog at a time, and read the meters every WINDOW."""
    with running(servers, plan, contestant, latency_ms) as run:
        progress(f"encoding {count + SPAN:,} orders")
        batch = run.prepare(count + SPAN)
        progress(f"{SPAN:,} orders of warm-up")
        _send(run, batch[:SPAN], Meters(), BACKLOG_MAX)
        meters = Meters()
        begun = time.perf_counter()
        for start in range(SPAN, SPAN + count, max(TOLD, backlog)):
            if run.failures:
                break
            _send(run, batch[start : min(start + max(TOLD, backlog), SPAN + count)], meters, backlog)
            done = meters.samples[-1][0]
            rate = done / (time.perf_counter() - begun)
            rss = _rounded(run.processes.rss_mb())
            progress(f"{done:,} orders, {rate:,.0f} a second, CPU ms {_recent(meters):.3f} an order, RSS MB {rss}")
        seconds = time.perf_counter() - begun
        run.wait_until_quiet()
        with run.database.connect() as connection:
            connection.execute("VACUUM ANALYZE")
            tables = [tuple(map(str, row)) for row in connection.execute(_TABLES).fetchall()]
        failures = run.check()
    first, last = _ends(meters.samples)
    return {
        "contestant": contestant.name,
        "latency_ms": latency_ms,
        "orders": count,
        "backlog": backlog,
        "orders_per_s": count / seconds,
        "cpu_ms_first": first,
        "cpu_ms_last": last,
        "cpu_ratio": last / first,
        "cpu_ms_parts": {who: _ends(samples) for who, samples in meters.parts.items()},
        "cpu_ms_windows": window_costs(meters.samples),
        "cpu_ms_tenths": part_costs(meters.samples, TENTHS),
        "rss_mb": meters.memory,
        "tables": tables,
        "failures": failures,
    }


@dataclass(frozen=True, slots=True)
class Meters:
    """Readings: (orders finished, CPU seconds so far), and (orders finished, MB of each process).

    parts: as samples, for each who spends.
    """

    samples: list[tuple[int, float]] = field(default_factory=list)
    parts: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: {who: [] for who in SPENDERS})
    memory: list[tuple[int, list[float]]] = field(default_factory=list)

    def read(self, done: int, run: Run) -> None:
        """Read what was spent until this order."""
        spent = run.usage().cpu_s
        self.samples.append((done, sum(spent[who] for who in SPENDERS)))
        for who in SPENDERS:
            self.parts[who].append((done, spent[who]))


def _ends(samples: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return CPU milliseconds an order, medians of the first and the last SPAN."""
    costs = window_costs(samples)
    span = max(1, SPAN // WINDOW)
    return statistics.median(costs[:span]), statistics.median(costs[-span:])


def _recent(meters: Meters) -> float:
    """Return CPU milliseconds an order of the last SPAN."""
    return statistics.median(window_costs(meters.samples)[-SPAN // WINDOW :])


def _send(run: Run, batch: Sequence[tuple[Order, bytes]], meters: Meters, backlog: int) -> None:
    """Publish them, keeping so many under way at the most; read the meters each time another WINDOW is finished."""
    seen = run.watcher.seen
    start = len(seen)
    offset = meters.samples[-1][0] if meters.samples else 0
    if not meters.samples:
        meters.read(0, run)
    wanted = start + WINDOW
    sent, last, since = 0, start, time.monotonic()
    while len(seen) < start + len(batch):
        if sent < len(batch) and start + sent - len(seen) < backlog:
            run.publish(batch[sent : sent + CHUNK])
            sent += CHUNK
        else:
            run.watcher.wait(LOOK_S)
        done = len(seen)
        if done != last:
            last, since = done, time.monotonic()
        elif time.monotonic() - since > STALL_S:
            run.failures.append(f"stalled after {done} orders")
            return
        if done >= wanted:
            meters.read(offset + done - start, run)
            meters.memory.append((offset + done - start, run.processes.rss_mb()))
            wanted += WINDOW
    if offset + len(batch) > meters.samples[-1][0]:
        meters.read(offset + len(batch), run)


def endurance_table(result: dict[str, Any]) -> str:
    """Show what the issue asks for."""
    memory = result["rss_mb"]
    quarter = memory[len(memory) // 4][1] if memory else []
    at_end = memory[-1][1] if memory else []
    first, last, compared = result["cpu_ms_first"], result["cpu_ms_last"], result["cpu_ratio"]
    bad = "; ".join(result["failures"]) or "right"
    lines = [
        f"{result['contestant']}: {result['orders']:,} orders at {result['orders_per_s']:,.0f}/s; check: {bad}",
        f"CPU ms an order, medians: first {SPAN:,} {first:.3f}, last {SPAN:,} {last:.3f}, ratio {compared:.3f}",
        f"CPU ms an order, means of tenths: {' '.join(f'{cost:.3f}' for cost in result['cpu_ms_tenths'])}",
        "of these " + ", ".join(f"{who} {a:.3f} and {b:.3f}" for who, (a, b) in result["cpu_ms_parts"].items()),
        f"RSS MB of each process: after a quarter {_rounded(quarter)}, at the end {_rounded(at_end)}",
        "",
        "| table | MB | rows | bytes an order |",
        "|---|---|---|---|",
    ]
    orders = result["orders"] + SPAN
    for name, size, rows in result["tables"]:
        lines.append(f"| {name} | {int(size) / 2**20:,.1f} | {int(rows):,} | {int(size) / orders:,.0f} |")
    return "\n".join(lines)


def _rounded(values: Sequence[float]) -> list[int]:
    return [round(value) for value in values]

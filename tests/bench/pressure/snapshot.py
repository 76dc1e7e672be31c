"""Somebody holds a snapshot in PostgreSQL, as a dump or a long report does: no dead row can be removed meanwhile."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from tests.bench.contestants import Contestant
from tests.bench.endurance import BACKLOG_MAX
from tests.bench.environment import Progress
from tests.bench.goals import Goal
from tests.bench.measuring import running
from tests.bench.places import Plan
from tests.bench.pressure.load import SPENDERS, Meters, Part, press
from tests.bench.pressure.walks import walks_table
from tests.bench.servers import Database, Servers

FILL_S: Final = 10.0
"""Before the first reading: the backlog fills, and what is compiled or cached is so."""
BEFORE_SHARE: Final = 1 / 3
"""Of the time under the snapshot: how long the load runs without it, before. It runs as long as under it, after."""
BEFORE_MOST_S: Final = 120.0
AFTER_MOST_S: Final = 180.0
"""Both have bounds: what comes back must be back within a minute."""
TENTHS: Final = 10
BEFORE_PARTS: Final = 4
ENDS: Final = 3
"""Parts at the end of a phase whose median is compared: what a part does depends on a checkpoint or a vacuum."""
TABLES: Final = ("stock", "outbox", "orders", "operation", "reservation")
RATE_LEAST: Final = 0.9
"""Throughput at the end of the snapshot, and at the end of all, by that before."""
DEAD_AN_ORDER_MOST: Final = 2.0


@contextmanager
def held_snapshot(database: Database) -> Iterator[None]:
    """Hold a snapshot of all tables."""
    with psycopg.connect(database.conninfo, application_name="bench snapshot") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM stock")
        yield
        connection.rollback()


def press_under_snapshot(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, held_s: float, progress: Progress
) -> dict[str, Any]:
    """Load before, while a snapshot is held for held_s, and after it; see the bounds of both."""
    with running(servers, plan, contestant, latency_ms) as run, run.database.connect() as connection:
        meters = Meters(connection, servers.superuser())
        press(run, meters, "fill", FILL_S, 1, BACKLOG_MAX)
        parts = press(run, meters, "before", min(BEFORE_SHARE * held_s, BEFORE_MOST_S), BEFORE_PARTS, BACKLOG_MAX)
        progress(_line(contestant, parts))
        # What was dead before is none of the snapshot's.
        connection.execute("VACUUM")
        with held_snapshot(run.database):
            begun = len(run.watcher.seen)
            parts += press(run, meters, "held", held_s, TENTHS, BACKLOG_MAX)
            orders = len(run.watcher.seen) - begun
        progress(_line(contestant, parts))
        parts += press(run, meters, "after", min(held_s, AFTER_MOST_S), TENTHS, BACKLOG_MAX)
        progress(_line(contestant, parts))
        run.wait_for_outcomes()
        failures = run.check()
    return {
        "contestant": contestant.name,
        "latency_ms": latency_ms,
        "pressure": "snapshot",
        "held_s": held_s,
        "orders_held": orders,
        "parts": [part.document() for part in parts],
        "compared": compared(parts),
        "dead_an_order": dead_an_order(parts, orders),
        "walks": walks_table(parts, ENDS),
        "failures": failures,
    }


def _line(contestant: Contestant, parts: Sequence[Part]) -> str:
    phase = parts[-1].phase if parts else "nothing"
    ends = [part for part in parts if part.phase == phase][-ENDS:]
    rate = statistics.median([part.rate for part in ends]) if ends else 0.0
    cost = statistics.median([part.cpu_ms["postgresql"] for part in ends]) if ends else 0.0
    return f"{contestant.name}, {phase}: {rate:,.0f} orders/s, {cost:.3f} ms of PostgreSQL's CPU an order at its end"


def compared(parts: Sequence[Part]) -> dict[str, dict[str, float]]:
    """Compare the ends of the later phases with the phase before: throughput, and CPU an order by who spent it."""
    before = [part for part in parts if part.phase == "before"]
    found: dict[str, dict[str, float]] = {}
    for phase in ("held", "after"):
        ends = [part for part in parts if part.phase == phase][-ENDS:]
        if before and ends:
            rate = _median_rate(ends) / _median_rate(before)
            found[phase] = {"rate": rate, **{who: _cost(ends, who) / _cost(before, who) for who in SPENDERS}}
    return found


def _median_rate(parts: Sequence[Part]) -> float:
    return statistics.median([part.rate for part in parts])


def _cost(parts: Sequence[Part], who: str) -> float:
    return statistics.median([part.cpu_ms[who] for part in parts])


def dead_an_order(parts: Sequence[Part], orders: int) -> dict[str, float]:
    """Return how many dead rows each table has at the end of the snapshot, by the orders that ended under it."""
    held = [part for part in parts if part.phase == "held"]
    return {table: rows / max(1, orders) for table, rows in held[-1].dead.items()} if held else {}


def snapshot_table(result: Mapping[str, Any]) -> str:
    """Show each part, and the ratios."""
    held = f"a snapshot held for {result['held_s']:.0f} s: {result['orders_held']:,} orders"
    lines = [
        f"{result['contestant']}, {held}; check: {'; '.join(result['failures']) or 'right'}",
        "",
        f"| phase | orders/s | CPU ms an order: {' + '.join(SPENDERS)} | dead rows of {', '.join(TABLES)} |",
        "|---|---|---|---|",
    ]
    for part in result["parts"]:
        cost = " + ".join(f"{part['cpu_ms'][who]:.3f}" for who in SPENDERS)
        dead = ", ".join(f"{part['dead'].get(table, 0):,}" for table in TABLES)
        lines.append(f"| {part['phase']} | {part['orders_per_s']:,.0f} | {cost} | {dead} |")
    lines.append("")
    for phase, ratios in result["compared"].items():
        shown = ", ".join(f"{what} {ratio:.2f}" for what, ratio in ratios.items())
        lines.append(f"{phase} by before: {shown}")
    lines += ["", result["walks"]]
    return "\n".join(lines)


def snapshot_goals(result: Mapping[str, Any]) -> list[Goal]:
    """Judge throughput, and dead rows of the tables that have one row an order."""
    gateway = f"{result['latency_ms']:g} ms"
    name = result["contestant"]
    goals = [
        Goal(f"{name}: orders/s, {phase} by before", gateway, ratios["rate"], least=RATE_LEAST)
        for phase, ratios in result["compared"].items()
    ]
    for table in ("orders", "operation"):
        dead = result["dead_an_order"].get(table, 0.0)
        goals.append(Goal(f"{name}: dead rows of {table} an order", gateway, dead, most=DEAD_AN_ORDER_MOST))
    return goals

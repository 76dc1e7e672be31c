"""A load for a time: so many orders under way at most, and readings of the meters at even distances."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tests.bench.checks import Connection
from tests.bench.history.statements import Statements, per_order, read_statements
from tests.bench.pressure.walks import NOTHING, Touched, read_touched, touched_an_order
from tests.bench.run import LOOK_S, STALL_S, Run
from tests.bench.servers import Database

CHUNK: Final = 1_000
SPENDERS: Final = ("python", "postgresql", "kafka")
_DEAD: Final = """
SELECT coalesce(p.relname, c.relname), sum(s.n_dead_tup)::bigint
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
 GROUP BY 1 HAVING sum(s.n_dead_tup) > 0
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The meters at a moment: seconds, orders with an outcome, CPU seconds by who spent them, dead rows by table.

    Dead rows are PostgreSQL's own count (pg_stat_user_tables). It lags by a second or two. statements, touched: what
    PostgreSQL counts of its work.
    """

    at: float
    done: int
    cpu_s: Mapping[str, float]
    dead: Mapping[str, int]
    statements: Statements = field(default_factory=dict)
    touched: Touched = NOTHING


@dataclass(frozen=True, slots=True)
class Part:
    """What happened between two readings. dead: rows at its end. statements, touched: an order."""

    phase: str
    orders: int
    seconds: float
    cpu_ms: Mapping[str, float]
    dead: Mapping[str, int]
    statements: Statements = field(default_factory=dict)
    touched: Touched = NOTHING

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds

    def document(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        statements = {query: spent._asdict() for query, spent in self.statements.items()}
        updates = {table: made._asdict() for table, made in self.touched.updates.items()}
        touched = {"blocks": dict(self.touched.blocks), "updates": updates}
        return {**asdict(self), "statements": statements, "touched": touched, "orders_per_s": self.rate}


class Meters(NamedTuple):
    """Who reads the meters of PostgreSQL. superuser: sees the statements of all."""

    connection: Connection
    superuser: Database


def press(run: Run, meters: Meters, phase: str, seconds: float, parts: int, backlog: int) -> list[Part]:
    """Keep backlog orders under way for so long; return what happened in each of so many equal parts.

    Orders are encoded meanwhile, so that a run may last for hours. What that costs is the same in every phase. A run
    that stands still has failed, and what was read so far is returned.
    """
    begun = time.perf_counter()
    readings = [_read(run, meters)]
    last, since = -1, begun
    while len(readings) <= parts:
        now, done = time.perf_counter(), len(run.watcher.seen)
        if done != last:
            last, since = done, now
        elif now - since > STALL_S:
            run.failures.append(f"{phase}: stalled after {done} orders")
            break
        if now - begun >= seconds * len(readings) / parts:
            readings.append(_read(run, meters))
        if len(run.kinds) - done < backlog:
            run.publish(run.prepare(CHUNK))
        else:
            run.watcher.wait(LOOK_S)
    return parts_of(phase, readings)


def _read(run: Run, meters: Meters) -> Reading:
    usage = run.usage()
    dead = {str(table): int(str(rows)) for table, rows in meters.connection.execute(_DEAD).fetchall()}
    spent = {who: usage.cpu_s[who] for who in SPENDERS}
    statements = read_statements(meters.superuser, run.database)
    return Reading(usage.at, len(run.watcher.seen), spent, dead, statements, read_touched(meters.connection))


def parts_of(phase: str, readings: Sequence[Reading]) -> list[Part]:
    """Return what happened between neighbours. CPU is in milliseconds an order; no order at all counts as one."""
    return [
        Part(
            phase,
            after.done - before.done,
            after.at - before.at,
            {
                who: 1000 * (after.cpu_s[who] - before.cpu_s[who]) / max(1, after.done - before.done)
                for who in after.cpu_s
            },
            after.dead,
            per_order(before.statements, after.statements, max(1, after.done - before.done)),
            touched_an_order(before.touched, after.touched, max(1, after.done - before.done)),
        )
        for before, after in pairwise(readings)
    ]

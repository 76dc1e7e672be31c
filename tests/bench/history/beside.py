"""An empty database beside one with the history of millions of orders, on one server, in turn."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple
from uuid import UUID

from deploy.running import now
from outbox.schema.migrations import upgrade
from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.history.filling import Filled, fill_database
from tests.bench.history.played import PLAYED, play_orders
from tests.bench.history.statements import per_order, read_statements, total
from tests.bench.measuring import drain, noting_failures, running
from tests.bench.orders import make_orders
from tests.bench.places import Plan, make_stock
from tests.bench.servers import Database, Servers
from tests.bench.turns import in_turn

Result = dict[str, Any]
SEED: Final = 0
"""Of the ids of the history: before all that is measured."""
NOT_COPIED: Final = frozenset({"gateway_notice"})
"""The gateway that is measured tells nothing. Some of the play's notices wait for what never comes; thousands of them
would keep the sweep busy, as in no real database."""
SEEDS_A_RUN: Final = 100
"""More than a run takes: in a database that is kept, no order may come twice."""
GIB: Final = 2**30


class History(NamedTuple):
    """A database with a history. bytes: all of it."""

    database: Database
    filled: Filled
    bytes: int


def measure_beside_history(
    servers: Servers,
    plan: Plan,
    contestants: Sequence[Contestant],
    latency_ms: float,
    rounds: int,
    orders: int,
    progress: Progress,
) -> list[Result]:
    """Measure each contestant on an empty database and on one with so many orders, in every round."""
    with history_of(servers, orders, progress, growing_ids=plan.growing_ids) as history:
        return take_turns(servers, plan, contestants, latency_ms, rounds, history, progress)


@contextmanager
def history_of(servers: Servers, orders: int, progress: Progress, *, growing_ids: bool) -> Iterator[History]:
    """Make a database with at least so many orders of the last days, all ended; dropped afterwards."""
    progress(f"playing {PLAYED} orders")
    ids = [UUID(order.order_id) for order in make_orders(PLAYED, SEED, growing=growing_ids)]
    played = {name: rows for name, rows in play_orders(PLAYED, ids).items() if name not in NOT_COPIED}
    with servers.database() as database:
        upgrade(database.sqlalchemy)
        admin = servers.superuser_in(database).conninfo
        filled = fill_database(database.conninfo, admin, played, orders, int(now().timestamp()), progress)
        make_stock(database)
        history = History(database, filled, _size(database))
        progress(f"{filled.orders:,} orders, {history.bytes / GIB:.1f} GiB, in {filled.seconds:,.0f} s")
        yield history


def _size(database: Database) -> int:
    with database.connect() as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(str(row[0])) if row else 0


def take_turns(
    servers: Servers,
    plan: Plan,
    contestants: Sequence[Contestant],
    latency_ms: float,
    rounds: int,
    history: History,
    progress: Progress,
) -> list[Result]:
    """Measure; the next round the other way round. The database with the history is kept, so that it grows a little."""
    results: list[Result] = []
    for number in range(rounds):
        for contestant in contestants:
            for full in in_turn(number):
                seed = 1 + SEEDS_A_RUN * len(results)
                here = replace(plan, beside_history=True, seed=seed, kept=history.database if full else None)
                about = {"contestant": contestant.name, "round": number, "full": full, "latency_ms": latency_ms}
                made = {"history": history.filled.orders, "history_bytes": history.bytes, **history.filled._asdict()}
                results.append(
                    {**about, "made": made, **_measure(servers, here, contestant, latency_ms, audits=not full)}
                )
                progress(f"round {number + 1}/{rounds}: {_line(results[-1])}")
    return results


def _measure(servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, *, audits: bool) -> Result:
    """Drain and check. audits: ask `payments audit`, too. It would miss the topics of a history."""
    result: Result = {"failures": []}
    with noting_failures(result), running(servers, plan, contestant, latency_ms) as run:
        superuser = servers.superuser()
        before = read_statements(superuser, run.database)
        result |= drain(run, max(20, int(plan.orders * contestant.weight)))
        spent = per_order(before, read_statements(superuser, run.database), result["orders"])
        result["statements"] = {query: one._asdict() for query, one in spent.items()}
        result["blocks"] = total(spent)._asdict()
        begun = time.monotonic()
        result["failures"] = run.check(audits=audits)
        result["check_s"] = time.monotonic() - begun
    return result


def _line(result: Result) -> str:
    which = "with the history" if result["full"] else "empty"
    wrong = "; ".join(result["failures"]) or "right"
    if "orders_per_s" not in result:
        return f"{result['contestant']}, {which}: {wrong}"
    cpu = result["cpu_ms_per_order"]
    return (
        f"{result['contestant']}, {which}: {result['orders_per_s']:,.0f} orders/s, CPU ms an order "
        f"{cpu['python']:.3f} + {cpu['postgresql']:.3f}; {wrong}"
    )

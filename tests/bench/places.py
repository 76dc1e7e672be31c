"""Where a contestant runs: a database and topics of its own, made as it makes them itself, and the settings."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.topics import owners_of
from tests.bench.contestants import Contestant
from tests.bench.peers import common
from tests.bench.processes import Processes
from tests.bench.servers import Database, Servers, folder_of_logs
from tests.sandbox.process import running as running_sandbox

_PREFIXES = itertools.count(1)
_STOCK = f"""
WITH made AS (INSERT INTO stock (sku, available, reserved, sold)
  SELECT 'SKU-' || to_char(i, 'FM0000'),
         CASE WHEN i < {common.SKUS - common.EMPTY_SKUS} THEN {common.STOCK_EACH} ELSE 0 END, 0, 0
    FROM generate_series(0, {common.SKUS - 1}) i RETURNING sku, available)
INSERT INTO stock_adjustment (sku, delta, by) SELECT sku, available, 'bench' FROM made
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is common to all measurements of a run.

    orders: before the weight. settings: NAME -> value. growing_ids: order ids grow with time, else they are random.
    one_sku: every order wants the same SKU, besides another. beside_history: tables may be large, so the broker is
    asked whether all is done. kept: a database that is there, with its stock, in place of a fresh one for each
    measurement. seed: of the first orders; each time that orders are made takes the next.
    """

    peers_python: Path
    orders: int = 500
    duplicates: float = 0.0
    partitions: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)
    growing_ids: bool = False
    one_sku: bool = False
    beside_history: bool = False
    kept: Database | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contestant runs: a database and topics of its own, the settings that lead there, and its log."""

    database: Database
    prefix: str
    settings: dict[str, str]
    log: Path
    sandbox: psutil.Process | None


@contextmanager
def place_for(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, more: Mapping[str, str] | None = None
) -> Iterator[Place]:
    """Make it, fresh and without any leftover of the measurement before."""
    prefix = f"{contestant.name}.{next(_PREFIXES)}."
    logs = folder_of_logs(servers)
    with ExitStack() as stack:
        database = plan.kept or stack.enter_context(servers.database())
        settings = _settings(servers, plan, contestant, latency_ms, database, prefix)
        sandbox = None
        if contestant.sandbox:
            process = stack.enter_context(running_sandbox(logs / f"{prefix}sandbox.jsonl"))
            settings |= {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": process.address}
            sandbox = psutil.Process(process._process.pid)
        ours = contestant.ours
        known = {name: value for name, value in plan.settings.items() if name.startswith("PAYMENTS_") == ours}
        settings |= {**known, **(more or {})}
        place = Place(database, prefix, settings, logs / f"{prefix}log", sandbox)
        stack.enter_context(servers.topics(_make(plan, contestant, place), plan.partitions))
        if plan.kept is None:
            with database.connect() as connection:
                connection.execute("VACUUM ANALYZE")
        servers.checkpoint()
        yield place


def make_stock(database: Database) -> None:
    """Make the goods that the orders want, in a database of ours."""
    with database.connect() as connection:
        connection.execute(_STOCK.encode())


def _make(plan: Plan, contestant: Contestant, place: Place) -> list[str]:
    """Make tables and stock, ours by its own commands; return the names of its topics."""
    commands = Processes([], place.settings, place.log)
    if contestant.ours:
        commands.run(contestant.argv(plan.peers_python, ["migrate"]))
        commands.run(contestant.argv(plan.peers_python, ["topics", "create"]))
        if plan.kept is None:
            make_stock(place.database)
        return list(owners_of(place.prefix))
    with place.database.connect() as connection:
        connection.execute(common.DDL.encode())
    commands.run(contestant.argv(plan.peers_python, ["setup"]))
    return [place.prefix + step for step in common.STEPS]


def _settings(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, database: Database, prefix: str
) -> dict[str, str]:
    if not contestant.ours:
        return {
            "PEER_BOOTSTRAP": servers.bootstrap,
            "PEER_DSN": database.conninfo,
            "PEER_PREFIX": prefix,
            "PEER_LATENCY_MS": str(latency_ms),
            "PEER_VARIANT": contestant.variant,
        }
    return {
        "PAYMENTS_DATABASE_URL": database.sqlalchemy,
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap,
        "PAYMENTS_TOPIC_PREFIX": prefix,
        "PAYMENTS_TOPIC_PARTITIONS": str(plan.partitions),
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": str(latency_ms),
        "PAYMENTS_LOG_FORMAT": "json",
    }

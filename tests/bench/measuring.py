"""One measurement: a contestant on a fresh database and fresh topics; throughput, cost, latency, and the check."""

import itertools
import json
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from deploy.cli.common import now
from tests.bench import checks
from tests.bench.contestants import Contestant
from tests.bench.orders import Order, encoder, make_orders
from tests.bench.places import Place, Plan, place_for
from tests.bench.processes import Failed, Processes
from tests.bench.servers import Servers, cpu_s
from tests.bench.watching import Watcher, counting

WARM_ORDERS = {False: 60, True: 1000}
"""Orders before the clock starts: for those of weight up to 1, and for the fast ones."""
STALL_S = 60.0
QUIET_S = 30.0
REBALANCE_S = 6.0


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far by who spent them, bytes written so far, and when."""

    cpu_s: dict[str, float]
    wal_bytes: int
    kafka_bytes: int
    at: float


class Run:
    """A contestant that runs."""

    def __init__(
        self,
        servers: Servers,
        plan: Plan,
        contestant: Contestant,
        place: Place,
        processes: Processes,
        watcher: Watcher,
    ) -> None:
        self.contestant = contestant
        self.database = place.database
        self.prefix = place.prefix
        self.processes = processes
        self.watcher = watcher
        self.failures: list[str] = []
        self.kinds: dict[str, str] = {}
        self.sent_twice = 0
        self._servers = servers
        self._plan = plan
        self._sandbox = place.sandbox
        self._seeds = itertools.count(1)
        self._encode = encoder(contestant.body, now)
        self._producer = Producer(
            {
                "bootstrap.servers": servers.bootstrap,
                "linger.ms": 0,
                "acks": "all",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )

    def prepare(self, count: int, slow_share: float = 0.0) -> list[tuple[Order, bytes]]:
        """Make orders that nobody had yet, encoded: encoding is not what is measured."""
        orders = make_orders(count, next(self._seeds), slow_share)
        return [(order, self._encode(order)) for order in orders]

    def publish(self, batch: Sequence[tuple[Order, bytes]]) -> None:
        """Publish at once, as fast as it goes; returns when all replicas have it."""
        topic = self.prefix + "OrderConfirmed"
        for order, body in batch:
            self.kinds[order.order_id] = order.kind
            self._producer.produce(topic, body, order.key)
            self._producer.poll(0)
        self._producer.flush()

    def pace(self, batch: Sequence[tuple[Order, bytes]], rate: float) -> dict[str, float]:
        """Publish each order when it is due, at so many a second; return when each was due, however late it was."""
        topic = self.prefix + "OrderConfirmed"
        due: dict[str, float] = {}
        start = time.perf_counter() + 0.2
        for number, (order, body) in enumerate(batch):
            self.kinds[order.order_id] = order.kind
            at = start + number / rate
            while (left := at - time.perf_counter()) > 0:
                self._producer.poll(min(left, 0.005))
            due[order.order_id] = at
            self._producer.produce(topic, body, order.key)
        self._producer.flush()
        return due

    def wait_for_outcomes(self, stall_s: float = STALL_S) -> bool:
        """Wait until every published order has an outcome. False, with a failure noted, when nothing happens."""
        wanted, last, since = len(self.kinds), -1, time.monotonic()
        while (done := len(self.watcher.seen)) < wanted:
            if done != last:
                last, since = done, time.monotonic()
            dead = self.processes.dead()
            if dead or time.monotonic() - since > stall_s:
                why = f"process {dead} ended" if dead else f"nothing for {stall_s:.0f} s"
                self.failures.append(f"only {done} of {wanted} orders have an outcome: {why}")
                return False
            time.sleep(0.005)
        return True

    def wait_until_quiet(self) -> None:
        """Wait until what follows the outcomes is done, too; costs are counted until then."""
        wanted = checks.expected(self.kinds).failed if self.contestant.reactions else 0
        end = time.monotonic() + QUIET_S
        with self.database.connect() as connection:
            while time.monotonic() < end:
                told = connection.execute("SELECT count(*) FROM notification").fetchone() if wanted else (0,)
                if checks.count_outbox(connection) == 0 and told is not None and int(str(told[0])) >= wanted:
                    return
                time.sleep(0.02)

    def usage(self) -> Usage:
        """Read the meters."""
        return Usage(
            {
                "python": self.processes.cpu_s(),
                "postgresql": self._servers.postgres_cpu_s(),
                "kafka": self._servers.kafka_cpu_s(),
                "sandbox": cpu_s([self._sandbox]) if self._sandbox else 0.0,
                "bench": time.process_time(),
            },
            self._servers.wal_bytes(),
            self._servers.kafka_bytes(self.prefix),
            time.perf_counter(),
        )

    def check(self) -> list[str]:
        """Say everything that is wrong."""
        time.sleep(1.0)  # a second outcome would come late
        wanted = checks.expected(self.kinds, self.sent_twice)
        events = wanted.events(reactions=self.contestant.reactions)
        with counting(self._servers.bootstrap) as count:
            found = {event: count(self.prefix + event, self._plan.partitions) for event in events}
        with self.database.connect() as connection:
            rows = checks.wrong_rows(connection, wanted, ours=self.contestant.ours, sells=self.contestant.reactions)
        outcomes = checks.wrong_outcomes(self.kinds, self.watcher.seen)
        return self.failures + outcomes + checks.wrong_counts(events, found) + rows + self._audit()

    def _audit(self) -> list[str]:
        """Ask `payments audit`, which knows more invariants, if this release has it."""
        from deploy.cli import COMMANDS

        if not self.contestant.ours or not any(command.name == "audit" for command in COMMANDS):
            return []
        argv = self.contestant.argv(self._plan.peers_python, ["audit", "--wait", "20", "--json"])
        try:
            report = json.loads(self.processes.run(argv, answers=(0, 1)))
        except Failed as failed:
            return [f"audit: {failed}"]
        broken = [f"audit: {one['id']} {one['name']}" for one in report["invariants"] if one["holds"] is False]
        # Without the simulated gateway's books, which die with its process, some invariants cannot be said (null).
        return broken if report["quiescent"] else ["audit: not quiescent", *broken]


@contextmanager
def running(
    servers: Servers, plan: Plan, contestant: Contestant, latency_ms: float, more: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """Run a contestant, warmed up."""
    with ExitStack() as stack:
        place = stack.enter_context(place_for(servers, plan, contestant, latency_ms, more))
        watcher = stack.enter_context(Watcher(servers.bootstrap, place.prefix, plan.partitions))
        commands = [contestant.argv(plan.peers_python, arguments) for arguments in contestant.processes]
        processes = stack.enter_context(Processes(commands, place.settings, place.log))
        run = Run(servers, plan, contestant, place, processes, watcher)
        warm_up(run)
        yield run


def warm_up(run: Run) -> None:
    """Let everybody connect, prepare statements and find their rhythm. Raises Failed if that does not work."""
    run.publish(run.prepare(WARM_ORDERS[run.contestant.weight > 1]))
    if not run.wait_for_outcomes():
        raise Failed(run.failures[-1], run.processes.log_end())
    run.wait_until_quiet()
    time.sleep(REBALANCE_S if run.contestant.grouped else 0.5)


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
    try:
        with running(servers, plan, contestant, latency_ms) as run:
            result |= drain(run, max(20, int(plan.orders * contestant.weight)), plan.duplicates)
            result["paced"] = [paced(run, rate, paced_s) for rate in rates if not run.failures]
            result["failures"] = run.check()
            if result["failures"]:
                result["log"] = run.processes.log_end()
    except Exception as error:  # noqa: BLE001 - as the docstring says
        result["failures"].append(without_passwords(str(error.args[0] if error.args else type(error).__name__)))
        result["log"] = without_passwords(error.log) if isinstance(error, Failed) else traceback.format_exc()
    return result


def without_passwords(text: str) -> str:
    """Mask what a connection string would give away."""
    return re.sub(r"(password=|://[^:@/ ]+:)[^@\s]+", r"\1***", text)

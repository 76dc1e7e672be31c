"""A contestant that runs: what is published to it, what is waited for, its meters, and the check."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Producer

from consumers.reactions import REACTIONS
from deploy.running import now
from tests.bench import checks
from tests.bench.contestants import Contestant
from tests.bench.groups import Groups, end_offsets
from tests.bench.orders import Order, encoder, make_orders
from tests.bench.places import Place, Plan
from tests.bench.processes import Failed, Processes
from tests.bench.servers import Servers, cpu_s
from tests.bench.waiting import wait_until_settled, wait_until_still
from tests.bench.watching import Watcher

STALL_S = 60.0
QUIET_S = 30.0
LOOK_S = 0.1
"""Between two looks at the processes while no outcome comes."""


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
        self._groups = Groups(servers.admin, place.prefix)
        self._seeds = itertools.count(plan.seed)
        with self.database.connect() as connection:
            self._before = checks.read_rows(connection, ours=contestant.ours)
        self._encode = encoder(contestant.body, now)
        self._producer = Producer(
            {
                **servers.clients,
                "linger.ms": 0,
                "acks": "all",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
                # As Kafka's own clients choose partitions by default; librdkafka would hash keys another way.
                "partitioner": "murmur2_random",
            }
        )

    def prepare(self, count: int, slow_share: float = 0.0) -> list[tuple[Order, bytes]]:
        """Make orders that nobody had yet, encoded: encoding is not what is measured."""
        plan = self._plan
        seed = next(self._seeds)
        orders = make_orders(count, seed, slow_share, growing=plan.growing_ids, one_sku=plan.one_sku)
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
            self.watcher.wait(LOOK_S)
        return True

    def wait_until_quiet(self) -> None:
        """Wait until what follows the outcomes is done, too; costs are counted until then."""
        wanted = checks.expected(self.kinds).failed if self.contestant.reactions else 0
        end = time.monotonic() + QUIET_S
        with self.database.connect() as connection:
            while time.monotonic() < end:
                if checks.count_outbox(connection) == 0 and self._have_told(connection, wanted):
                    return
                time.sleep(0.02)

    def _have_told(self, connection: checks.Connection, wanted: int) -> bool:
        """Tell whether this many customers have been told. To count a million rows again and again would cost more."""
        if self._plan.beside_history:
            return not self._groups.unread()
        told = connection.execute("SELECT count(*) FROM notification").fetchone() if wanted else (0,)
        return told is not None and int(str(told[0])) >= wanted

    def wait_until_shared(self) -> None:
        """Wait until all processes share the partitions of their consumer groups. Raises Failed if they do not."""
        wanted = [self.prefix + reaction.group for reaction in REACTIONS] if self.contestant.ours else []
        amiss = wait_until_settled(self._groups.read, wanted, self.contestant.members, self._plan.partitions)
        if amiss:
            raise Failed(f"consumer groups: {'; '.join(amiss)}", self.processes.log_end())

    def wait_until_still(self) -> list[str]:
        """Wait until nothing is left to come: a second outcome would come late. Says what is still going on."""
        topics = checks.expected(self.kinds).events(reactions=True)
        with self.database.connect() as connection:

            def busy() -> str:
                unsent, unread = checks.count_outbox(connection), self._groups.unread()
                return f"{unsent} rows in the outbox, {unread} messages not committed" if unsent or unread else ""

            return wait_until_still(lambda: (self.counts(topics), checks.progress(connection)), busy)

    def counts(self, events: Iterable[str]) -> dict[str, int]:
        """Count the messages of each event's topic."""
        places = [(self.prefix + event, number) for event in events for number in range(self._plan.partitions)]
        ends = end_offsets(self._servers.admin, places)
        counts = Counter[str]()
        for (topic, _), end in ends.items():
            counts[topic.removeprefix(self.prefix)] += end
        return dict(counts)

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

    def check(self, *, audits: bool = True) -> list[str]:
        """Say everything that is wrong. audits: `payments audit` is asked, too."""
        restless = self.wait_until_still()
        wanted = checks.expected(self.kinds, self.sent_twice)
        events = wanted.events(reactions=self.contestant.reactions)
        found = self.counts(events)
        with self.database.connect() as connection:
            after = checks.read_rows(connection, ours=self.contestant.ours)
        rows = checks.wrong_rows(self._before, after, wanted, sells=self.contestant.reactions)
        outcomes = checks.wrong_outcomes(self.kinds, self.watcher.seen)
        return (
            self.failures
            + restless
            + outcomes
            + checks.wrong_counts(events, found)
            + rows
            + (self._audit() if audits else [])
        )

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
        broken = [
            f"audit: {one['id']} {one['name']}: {one['violations'][0]} ({len(one['violations'])} violations)"
            for one in report["invariants"]
            if one["holds"] is False
        ]
        # Without the simulated gateway's books, which die with its process, some invariants cannot be said (null).
        return broken if report["quiescent"] else ["audit: not quiescent", *broken]

"""A deployment of a test's own on servers that may be killed: database, topics, sandbox, and roles as processes."""

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import psycopg

from deploy.embedded import EmbeddedServers, kept_port
from deploy.running import id_source, now
from deploy.topics import owners_of
from domain.errors import Transient
from producers.checkout import Checkout
from producers.kafka_publisher import KafkaPublisher
from producers.topics import create_topics
from schemas.codec import Codec
from tests.e2e.script import Order
from tests.eventually import EVENTUALLY_S, eventually
from tests.processes import Process, started
from tests.servers.databases import fresh_database

PARTITIONS: Final = 4
STOP_S: Final = 60.0
"""Three times the drain time-out, for a machine that does other things, too."""
ROLES: Final = {
    "authorize": ("consume", "OrderConfirmed", "PaymentRetryRequested"),
    "fulfil": ("consume", "PaymentAuthorized", "ItemsReserved", "ReservationFailed"),
    "tell": ("consume", "PaymentFailed", "CustomerNotificationRequested"),
    "relay": ("relay",),
    "sweep": ("sweep",),
    "consumers": ("consume", "all"),
}
APART: Final = ("authorize", "fulfil", "tell", "relay", "sweep")
TOGETHER: Final = ("consumers", "relay", "sweep")
"""All roles, as more or as fewer processes: the fewer start and stop sooner."""
QUICK: Final = {
    "PAYMENTS_GATEWAY": "sandbox",
    "PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S": "1",
    "PAYMENTS_GATEWAY_TIMEOUT_S": "2",
    "PAYMENTS_LEASE_S": "9",
    "PAYMENTS_BACKOFF_MIN_S": "0.2",
    "PAYMENTS_BACKOFF_MAX_S": "2",
    "PAYMENTS_UNKNOWN_RETRY_S": "0.5",
    # Back-off is short here, so that an outage uses up tries faster than it ever would.
    "PAYMENTS_TRIES_MAX": "1000",
    "PAYMENTS_SWEEP_INTERVAL_S": "0.2",
    "PAYMENTS_BATCH_MAX": "200",
    "PAYMENTS_LOG_FORMAT": "json",
    "PAYMENTS_LOG_LEVEL": "DEBUG",
}


@dataclass
class Deployment:
    """The places of one test, and the processes that run there by name. settings: of every process."""

    servers: EmbeddedServers
    directory: Path
    database_url: str
    prefix: str
    settings: dict[str, str]
    sandbox: str
    stack: ExitStack
    processes: dict[str, Process] = field(default_factory=dict)
    published: list[Order] = field(default_factory=list)
    _connection: "psycopg.Connection[tuple[Any, ...]] | None" = None
    _connection_url: str = ""

    def start(self, *roles: str, **settings: str) -> None:
        """Start these roles, all at once, and wait until they run."""
        begun = [self.begin(role, **settings) for role in roles]
        for process in begun:
            process.await_line('"running"')

    def begin(self, role: str, command: Sequence[str] = (), **settings: str) -> Process:
        """Start one role under its name and do not wait."""
        arguments = tuple(command) or ROLES[role]
        process = self.stack.enter_context(started(self.directory, *arguments, **{**self.settings, **settings}))
        self.processes[role] = process
        return process

    def kill(self, role: str) -> None:
        """SIGKILL a role, which must still be running."""
        assert self.processes[role].code is None, f"{role} ended by itself:\n{self.processes[role].log}"
        self.processes[role].kill()

    def start_sandbox(self) -> None:
        """Start the gateway; it keeps its address and its ledger."""
        sandbox = self.begin("sandbox", ("sandbox",))
        sandbox.eventually(lambda: "ready" in sandbox.out, "the sandbox is ready")

    def stop(self) -> None:
        """SIGTERM everything; every process that was not killed drains and exits with 0."""
        running = {name: process for name, process in self.processes.items() if name != "sandbox"}
        ended = {name: process.code for name, process in running.items() if process.code is not None}
        assert ended == {}, "no process ends by itself"
        for process in running.values():
            process.signal(signal.SIGTERM)
        codes = {name: process.wait(STOP_S) for name, process in running.items()}
        assert codes == dict.fromkeys(running, 0), [self.processes[n].log[-2000:] for n, code in codes.items() if code]

    def publish(self, orders: Sequence[Order]) -> None:
        """Publish orders as checkout would; returns once the broker has them."""
        self.published += orders
        lines = [json.dumps(order.line()).encode() for order in orders]
        prepared = Checkout(Codec(prefix=self.prefix), self.prefix, now(), id_source()).prepare(lines)
        assert prepared.bad == []
        asyncio.run(self.send(prepared.messages))

    async def send(self, messages: Sequence[Any]) -> None:
        """Publish what was prepared."""
        async with KafkaPublisher(self.kafka) as publisher:
            answer = await publisher.publish(messages)
        assert not answer.refused

    @property
    def kafka(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.servers.kafka_bootstrap}

    def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database. Waiting asks often, so the connection is kept: a login takes longer than an answer."""
        for again in (True, False):
            try:
                return self._connected().execute(query, parameters or None).fetchall()
            except psycopg.OperationalError:
                if not again:
                    raise
                self.hang_up()
        raise AssertionError("it answered or raised")

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """Return the open connection to the database that is named now."""
        if self._connection is None or self._connection_url != self.database_url:
            self.hang_up()
            url = self.database_url.replace("+psycopg", "")
            self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
            self._connection_url = self.database_url
        return self._connection

    def hang_up(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def number(self, query: LiteralString, *parameters: Any) -> int:
        """Ask the database for one number."""
        return int(self.rows(query, *parameters)[0][0])

    def ledger(self) -> list[dict[str, Any]]:
        """Ask the gateway for its transactions."""
        answer = httpx.get(f"{self.sandbox}/sandbox/ledger", trust_env=False, timeout=10)
        return list(answer.json()["payment_intents"])

    def weather(self, **faults: Any) -> None:
        """Have something wrong with the whole gateway."""
        httpx.post(f"{self.sandbox}/sandbox/faults", json=faults, trust_env=False, timeout=10).raise_for_status()

    def settled(self) -> int:
        """Count orders with an outcome."""
        return self.number(
            "select count(*) from orders where status in ('paid_and_confirmed', 'payment_failed', 'manual_review')"
        )

    def await_settled(self, count: int, timeout_s: float = EVENTUALLY_S) -> None:
        """Wait until so many orders have an outcome."""
        eventually(lambda: self.settled() >= count, lambda: f"{count} outcomes: {self.statuses()}", timeout_s)

    def statuses(self) -> dict[str, int]:
        """Count orders by status."""
        return dict(self.rows("select status, count(*) from orders group by status"))


async def _made_topics(shop: Deployment) -> bool:
    try:
        await create_topics(
            shop.kafka, owners_of(shop.prefix), partitions=PARTITIONS, replication_factor=1, event_bytes_max=1_000_000
        )
    except Transient:
        return False
    return True


@contextmanager
def deployment(servers: EmbeddedServers, directory: Path, template: str | None, prefix: str) -> Iterator[Deployment]:
    """Make a database and topics, and run the sandbox; whatever runs in the end is killed. template: None for none."""
    servers.start()
    with fresh_database(servers.database_url, template) as url, ExitStack() as stack:
        listen = f"127.0.0.1:{kept_port(directory, 'sandbox')}"
        settings = {
            **QUICK,
            "PAYMENTS_DATA": str(directory),
            "PAYMENTS_DATABASE_URL": url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "PAYMENTS_TOPIC_PREFIX": prefix,
            "PAYMENTS_SANDBOX_LISTEN": listen,
            "PAYMENTS_STRIPE_API_BASE": f"http://{listen}",
        }
        made = Deployment(servers, directory, url, prefix, settings, f"http://{listen}", stack)
        stack.callback(made.hang_up)
        eventually(lambda: asyncio.run(_made_topics(made)), "Kafka, which another test has frozen or killed, is there")
        made.start_sandbox()
        yield made

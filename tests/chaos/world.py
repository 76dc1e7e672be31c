"""Everything that a run happens to: Kafka, PostgreSQL, the sandbox behind a wire, and two processes of each role.

`open_world` starts it in a folder of its own and ends all of it, however it is left.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import psycopg
from sqlalchemy import make_url

from deploy.embedded import EmbeddedServers, kept_port, temporary_servers
from deploy.embedded.files import read_json
from deploy.topics import owners_of
from outbox.driver.connections import Connections
from outbox.operators.stock import set_available
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from producers.topics import create_topics
from schemas.codec import Codec
from tests.chaos.fleet import INVENTORY, ROLES, SANDBOX, Fleet
from tests.chaos.script import STOCK
from tests.chaos.wire import HOST, Wire
from tests.servers.memory import in_memory

PARTITIONS: Final = 12
PREFIX: Final = "chaos."
CONNECT_S: Final = 3
LEASE_S: Final = 10.0
SETTINGS: Final = {
    "PAYMENTS_GATEWAY": "sandbox",
    # What waits in production waits more shortly here, so that an order is late after seconds and not after minutes.
    "PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S": "1",
    "PAYMENTS_GATEWAY_TIMEOUT_S": "2",
    "PAYMENTS_LEASE_S": f"{LEASE_S:g}",
    "PAYMENTS_BACKOFF_MIN_S": "0.5",
    "PAYMENTS_BACKOFF_MAX_S": "8",
    "PAYMENTS_UNKNOWN_RETRY_S": "1",
    "PAYMENTS_EARLY_WAIT_S": "5",
    "PAYMENTS_SWEEP_INTERVAL_S": "0.5",
    "PAYMENTS_DRAIN_TIMEOUT_S": "10",
    "PAYMENTS_TOPIC_PARTITIONS": str(PARTITIONS),
    "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
    "PAYMENTS_TOPIC_PREFIX": PREFIX,
    "PAYMENTS_LOG_FORMAT": "json",
    "PAYMENTS_LOG_LEVEL": "INFO",
}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class World:
    """folder: what is kept of a failed run. servers: Kafka and PostgreSQL. fleet: the product. wire: to the sandbox.

    inventory: the address of the inventory's stand-in, if the stock is elsewhere.
    """

    folder: Path
    servers: EmbeddedServers
    fleet: Fleet
    wire: Wire
    inventory: str | None = None

    @property
    def bootstrap(self) -> str:
        """Kafka's address."""
        return self.servers.kafka_bootstrap

    @property
    def kafka_data(self) -> Path:
        """The broker's folder of partitions."""
        return self.servers.data_dir / "kafka" / "data"

    def connect(self, *, autocommit: bool = True, user: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """Connect to the pipeline's database, as its superuser. Raises psycopg.OperationalError while it is away."""
        url = make_url(self.servers.database_url)
        password = read_json(self.servers.data_dir / "postgres.passwords.json")[user]
        return psycopg.connect(
            host=url.host,
            port=url.port,
            dbname=url.database,
            user=user,
            password=password,
            autocommit=autocommit,
            connect_timeout=CONNECT_S,
            application_name="chaos",
        )

    def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database.

        Logs in each time. While all processes of the database are stopped, a login ends after CONNECT_S, and a question
        on a connection that is there would wait until they go on.
        """
        with self.connect() as connection:
            return connection.execute(query, parameters or None).fetchall()

    def gateway(self, path: str) -> str:
        """Return the address of one of the sandbox's own endpoints, past the wire."""
        host, port = self.wire.sandbox
        return f"http://{host}:{port}/sandbox/{path}"

    def ledger(self) -> dict[str, Any]:
        """Ask the gateway for its own books."""
        return _books(self.gateway("ledger"))

    def goods(self) -> dict[str, Any]:
        """Ask the inventory's stand-in for its own books."""
        return _books(f"{self.inventory}/inventory/ledger")


def _books(url: str) -> dict[str, Any]:
    answer = httpx.get(url, trust_env=False, timeout=60)
    answer.raise_for_status()
    return dict(answer.json())


@contextmanager
def open_world(
    progress: Progress,
    *,
    keep: Callable[[], bool],
    more: Mapping[str, str] | None = None,
    stock: Mapping[str, int] = STOCK,
    roles: Collection[str] = tuple(ROLES),
    elsewhere: bool = False,
) -> Iterator[World]:
    """Start everything; on leaving, end all of it. keep: asked then whether the folder with the logs stays.

    more: settings besides SETTINGS, or in their place. stock: units by SKU. roles: names of fleet.ROLES that run.
    elsewhere: the stock is not in our database, but in the inventory's stand-in.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="payments-chaos-")).resolve()
        stack.callback(_clear_up, folder, keep, progress)
        servers = stack.enter_context(
            temporary_servers(progress=progress, prefix="payments-chaos-servers-", parent=in_memory())
        )
        stack.callback(_keep_logs, servers, folder)
        progress("starting Kafka and PostgreSQL")
        servers.start()
        wire = Wire(kept_port(servers.data_dir, "wire"), (HOST, kept_port(servers.data_dir, SANDBOX)))
        stack.callback(wire.close)
        settings = {
            **SETTINGS,
            "PAYMENTS_DATA": str(folder),
            "PAYMENTS_DATABASE_URL": servers.database_url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "PAYMENTS_SANDBOX_LISTEN": f"{HOST}:{wire.sandbox[1]}",
            "PAYMENTS_STRIPE_API_BASE": wire.url,
            **(more or {}),
        }
        stand_in: tuple[str, ...] = ()
        address: str | None = None
        if elsewhere:
            listen = f"{HOST}:{kept_port(servers.data_dir, INVENTORY)}"
            stand_in, address = ("inventory-sandbox", "--listen", listen), f"http://{listen}"
            settings |= {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": address}
            settings |= {"PAYMENTS_INVENTORY_TIMEOUT_S": "2"}
        fleet = Fleet(folder, servers.data_dir, settings, stand_in)
        stack.callback(fleet.close)
        progress("making topics, tables and stock")
        _furnish(servers, {} if elsewhere else stock)
        wire.listen()
        progress(f"starting {len(roles)} processes of the pipeline and the sandbox")
        if address is not None:
            fleet.start(INVENTORY)
            answer = httpx.put(f"{address}/inventory/stock", json={"available": dict(stock)}, trust_env=False)
            answer.raise_for_status()
        fleet.start(SANDBOX, *roles)
        if late := [name for name in (SANDBOX, *roles) if not fleet.runs(name)]:
            raise RuntimeError(f"{late} did not start; see the logs in {folder}")
        yield World(folder, servers, fleet, wire, address)


def _furnish(servers: EmbeddedServers, stock: Mapping[str, int]) -> None:
    upgrade(servers.database_url)
    asyncio.run(_furnish_stock(servers.database_url, stock))
    kafka = {"bootstrap_servers": servers.kafka_bootstrap}
    names = owners_of(PREFIX)
    asyncio.run(create_topics(kafka, names, partitions=PARTITIONS, replication_factor=1, event_bytes_max=1_000_000))


async def _furnish_stock(url: str, stock: Mapping[str, int]) -> None:
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    async with store.transaction() as transaction:
        for sku, units in stock.items():
            await set_available(transaction, sku, units, "chaos")
    await store.close()


def _keep_logs(servers: EmbeddedServers, folder: Path) -> None:
    for log in servers.data_dir.glob("*.log*"):
        shutil.copy(log, folder / log.name)


def _clear_up(folder: Path, keep: Callable[[], bool], progress: Progress) -> None:
    if keep():
        progress(f"the logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)

"""Where the alerts are tried: Kafka, PostgreSQL, the gateway sandbox, a mail server, the crew, and Prometheus."""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import psycopg

from deploy.alerts.table import groups
from deploy.demo.mailbox import listening
from deploy.demo.script import customer_file
from deploy.demo.settings import PENDING_S, SETTINGS
from deploy.embedded import EmbeddedError, EmbeddedServers, ManagedProcess, temporary_servers
from deploy.embedded.files import write_whole
from deploy.embedded.ports import free_port
from deploy.local_servers import PlayWebhooks, sandbox_of, stockhouse_of
from deploy.preparing import make_topics, migrate_database, set_stock
from deploy.running import run
from deploy.settings import load_settings
from outbox.driver.conninfo import conninfo_of
from tests.alerts.files import text_of
from tests.alerts.running.crew import Crew
from tests.alerts.running.watching import Watch
from tests.alerts.server import prometheus
from tests.chaos import messages
from tests.chaos.clock import unix_micros
from tests.chaos.published import Published
from tests.chaos.script import KINDS, STOCK, Also, Kind, Order, Script
from tests.chaos.shop import Shop
from tests.processes import started
from tests.servers.memory import in_memory

FACTORS: Final = (60, 24)
"""All times of the rules are divided by one of them. A minute is then 1 s or 2.5 s: a bound of a bucket."""
TIMES: Final = {
    # Prometheus looks each second. To look at the database more often would only make the machine busy.
    "PAYMENTS_METRICS_INTERVAL_S": "1",
    "PAYMENTS_SWEEP_INTERVAL_S": "0.5",
    "PAYMENTS_BACKOFF_MAX_S": "5",
    # A busy machine must not look like a gateway that does not answer.
    "PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S": "4",
    "PAYMENTS_GATEWAY_TIMEOUT_S": "5",
    "PAYMENTS_LEASE_S": "20",
}
LOGGED: Final = {"PAYMENTS_LOG_FORMAT": "json", "PAYMENTS_LOG_LEVEL": "INFO"}
CALM: Final = tuple(
    kind
    for kind in KINDS
    if kind.also in {Also.NOTHING, Also.CLICKED_TWICE} and not any("fault" in token for token in kind.tokens)
)
"""Orders of every kind that needs no fault of anybody: paid, declined, paid again, out of stock, free."""
MORE_ORDERS: Final = 100_000
STARTS_MAX: Final = 3
COMMAND_S: Final = 240.0
"""A command loads for seconds; on a busy machine for minutes."""
Progress = Callable[[str], None]


@dataclass(slots=True)
class Place:
    """folder: of all files. servers: Kafka and PostgreSQL. gateway, inventory: their stand-ins; inventory is stopped.

    crew: the pipeline. watch: Prometheus. factor: all times of the rules are divided by it. rate: orders a second of
    the shop, whatever becomes of them.
    """

    folder: Path
    servers: EmbeddedServers
    gateway: ManagedProcess
    inventory: ManagedProcess
    crew: Crew
    watch: Watch
    shop: Shop
    script: Script
    customers: Path
    factor: int
    rate: float = 0.0
    _names: Iterator[int] = field(default_factory=lambda: iter(range(MORE_ORDERS)))

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect to the pipeline's database, as its owner."""
        return psycopg.connect(conninfo_of(self.servers.database_url), autocommit=True)

    def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database, or change it."""
        with self.connect() as connection:
            found = connection.execute(query, parameters or None)
            return found.fetchall() if found.description is not None else []

    def cut_audit_lease(self) -> None:
        """Divide the lease of an audit that was killed, ten minutes, as the times of the rules are."""
        self.rows(
            "UPDATE audit_run SET lease_until = began_at + make_interval(secs => %s) WHERE ended_at IS NULL",
            600 / self.factor,
        )

    def weather(self, **faults: Any) -> None:
        """Set what is wrong with all of the gateway."""
        url = f"http://{self.gateway.address}/sandbox/faults"
        httpx.post(url, json=faults, trust_env=False, timeout=10).raise_for_status()

    def command(self, *words: str) -> None:
        """Run `payments` as an operator does. Its answer must be yes."""
        folder = self.folder / "commands"
        folder.mkdir(exist_ok=True)
        with started(folder, *words, **self.crew.settings) as command:
            assert command.wait(COMMAND_S) == 0, f"payments {' '.join(words)}: {command.out}{command.log}"

    def publish(self, kind: Kind, count: int = 1, name: str = "", **changed: Any) -> list[str]:
        """Publish orders of this kind besides those of the shop; return their ids. changed: fields of the event."""
        orders = self.script.more(name or f"besides{next(self._names)}", count, (kind,))
        for order in orders:
            self._send(order, changed)
        assert self.shop.outlet.wait(60), "the broker does not take the orders"
        return [order.order_id for order in orders]

    def _send(self, order: Order, changed: Mapping[str, Any]) -> None:
        self.shop.outlet.send(messages.confirmed(order, unix_micros(), **changed))

    def status(self, order_id: str) -> str | None:
        """Return the status of an order; None if it is not known."""
        found = self.rows("SELECT status FROM orders WHERE order_id = %s", order_id)
        return str(found[0][0]) if found else None


@contextmanager
def open_place(progress: Progress, factor: int, *, keep: Callable[[], bool]) -> Iterator[Place]:
    """Start servers, sandbox and Prometheus, and no process of the pipeline yet; on leaving, end all of them.

    keep: asked then whether the folder with the logs stays.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="payments-alerts-")).resolve()
        stack.callback(_clear_up, folder, keep, progress)
        progress("starting Kafka and PostgreSQL")
        servers = stack.enter_context(
            temporary_servers(progress=progress, prefix="payments-alerts-servers-", parent=in_memory())
        )
        persevere(servers.start)
        gateway = sandbox_of(servers.data_dir, PENDING_S, progress)
        stack.callback(gateway.stop, immediate=True)
        persevere(gateway.start)
        inventory = stockhouse_of(servers.data_dir, progress)
        stack.callback(inventory.stop, immediate=True)
        write_whole(folder / "customers.csv", customer_file())
        settings = {
            **SETTINGS,
            **TIMES,
            **LOGGED,
            "PAYMENTS_AUDIT_INTERVAL_S": f"{300 / factor}",
            "PAYMENTS_DATA": str(folder),
            "PAYMENTS_DATABASE_URL": servers.database_url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "PAYMENTS_STRIPE_API_BASE": f"http://{gateway.address}",
            "PAYMENTS_SMTP_URL": f"smtp://127.0.0.1:{free_port()}?starttls=never",
            "PAYMENTS_CUSTOMER_DIRECTORY": str(folder / "customers.csv"),
            **PlayWebhooks.of(servers.data_dir).lines,
        }
        progress("making topics and tables")
        loaded = load_settings(settings, directory=folder, use_embedded=False)
        migrate_database(loaded)
        run(make_topics(loaded))
        crew = Crew(folder, settings)
        stack.callback(crew.close)
        server = stack.enter_context(prometheus(folder, _config(folder, crew.targets, factor)))
        script = Script(random.SystemRandom().getrandbits(24))
        published = Published()
        orders = iter(script.more("shop", MORE_ORDERS, CALM))
        place: Place
        shop = Shop(servers.kafka_bootstrap, "", published, orders, lambda: max(place.rate, 0.001))
        stack.callback(shop.close)
        place = Place(
            folder, servers, gateway, inventory, crew, Watch(server), shop, script, folder / "customers.csv", factor
        )
        yield place


@contextmanager
def open_shop(place: Place, rate: float) -> Iterator[None]:
    """Have orders come at this rate, and mails be taken."""
    settings = load_settings(place.crew.settings, directory=place.folder, use_embedded=False)
    run(set_stock(settings, STOCK, "alerts"))
    port = int(place.crew.settings["PAYMENTS_SMTP_URL"].rpartition(":")[2].partition("?")[0])
    with listening(port):
        place.rate = rate
        place.shop.start()
        yield


def persevere(start: Callable[[], object]) -> None:
    """Start servers; on a busy machine they may need more time than they are given, and are then started again."""
    for left in reversed(range(STARTS_MAX)):
        try:
            start()
        except (EmbeddedError, subprocess.TimeoutExpired):
            if not left:
                raise
        else:
            return


def _config(folder: Path, targets: Path, factor: int) -> dict[str, Any]:
    """Return Prometheus' configuration: it scrapes each second, and the times of the rules are divided by factor."""
    rules = folder / "rules.yml"
    rules.write_text(text_of({"groups": groups(factor)}), encoding="utf-8")
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "payments", "file_sd_configs": [{"files": [str(targets)]}]}],
    }


def _clear_up(folder: Path, keep: Callable[[], bool], progress: Progress) -> None:
    if keep():
        progress(f"the logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)

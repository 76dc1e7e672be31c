"""Everything that a demo runs on: servers, sandbox and pipeline on a temporary folder, restarted when they die."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from deploy.demo.elsewhere import OF_ALL_CALLS
from deploy.demo.mailbox import HOST, Mailbox, listening
from deploy.demo.pipeline import READY
from deploy.demo.script import Script, customer_file
from deploy.demo.settings import PENDING_S, SETTINGS
from deploy.demo.show import Show
from deploy.demo.standing import Stage, wait_for_groups
from deploy.embedded import (
    EmbeddedServers,
    Managed,
    ManagedProcess,
    Server,
    Supervisor,
    start_or_give_up,
    temporary_servers,
)
from deploy.embedded.files import last_lines, write_whole
from deploy.embedded.process import Command
from deploy.local_servers import PlayWebhooks, sandbox_of, stockhouse_of
from deploy.preparing import make_topics, migrate_database, set_stock
from deploy.running import run
from deploy.settings import Settings, load_settings
from deploy.stockhouse.client import StockhouseClient

CUSTOMERS: Final = "customers.csv"
FOLDER_PREFIX: Final = "payments-demo-"


class Pipeline(Server):
    """The process of all roles (deploy.demo.pipeline); it listens nowhere, and a file says that it runs."""

    STOP_S = Server.READY_S

    def __init__(self, folder: Path, progress: Callable[[str], None]) -> None:
        super().__init__("pipeline", folder, port=0, progress=progress)

    def answers(self) -> bool:
        """Return whether it has begun to run."""
        return (self._folder / READY).exists()

    def _command(self) -> Command:
        (self._folder / READY).unlink(missing_ok=True)
        return Command(argv=[sys.executable, "-P", "-m", "deploy.demo.pipeline", str(self._folder)], cwd=self._folder)

    def last_words(self) -> str:
        """Return the end of its log. If an earlier process of it died, the end of that log comes first."""
        log = self._process.log
        return "\n".join(part for part in (last_lines(log.with_name(f"{log.name}.1")), last_lines(log)) if part)


@contextmanager
def set_up(show: Show, script: Script) -> Iterator[Stage]:
    """Run everything that the script needs while inside. On leaving, in whatever way, all is killed and deleted.

    Raises EmbeddedError if something cannot be started.
    """
    with ExitStack() as stack:
        with show.step("Kafka and PostgreSQL, from packages") as step:
            servers = stack.enter_context(temporary_servers(progress=step.tell, prefix=FOLDER_PREFIX))
            start_or_give_up(servers.start, servers.managed)
            step.done(f"Kafka {servers.kafka.version} and PostgreSQL {servers.postgres.version} run in a new folder")
        folder = servers.data_dir
        with show.step("the gateway sandbox") as step:
            sandbox = sandbox_of(folder, PENDING_S, step.tell)
            stack.callback(sandbox.stop, immediate=True)
            start_or_give_up(sandbox.start, (sandbox,))
            step.done("the gateway sandbox runs: play money, and faults on demand")
        with show.step("a mail server, and the customers' addresses") as step:
            mailbox = stack.enter_context(listening())
            write_whole(folder / CUSTOMERS, customer_file())
            step.done("a mail server takes what customers are told")
        inventory = stack.enter_context(_inventory(show, script, folder)) if script.elsewhere else None
        settings = _settings(servers, sandbox, mailbox, inventory)
        with show.step("schema, topics and stock") as step:
            migrate_database(settings)
            made = run(make_topics(settings))
            if inventory is None:
                run(set_stock(settings, script.stock, "demo"))
            step.done(f"{len(made.created)} topics and the tables are made, the stock is filled")
        pipeline = Pipeline(folder, show.tell)
        with show.step("the pipeline: all consumers, the relay and the sweep") as step:
            stack.callback(pipeline.stop, immediate=True)
            start_or_give_up(pipeline.start, (pipeline,))
            run(wait_for_groups(settings))
            step.done(f"the pipeline runs (pid {pipeline.pid}): all consumers, the relay and the sweep")
        # Somebody may kill one of them: it is started again, and nothing is lost.
        elsewhere = () if inventory is None else (inventory,)
        managed: Sequence[Managed] = (*servers.managed, sandbox, *elsewhere, pipeline)
        stack.enter_context(Supervisor(managed, show.tell).watching())
        yield Stage(
            settings,
            f"http://{sandbox.address}",
            mailbox,
            servers.kafka.version,
            servers.postgres.version,
            None if inventory is None else f"http://{inventory.address}",
            pipeline.last_words,
        )


@contextmanager
def _inventory(show: Show, script: Script, folder: Path) -> Iterator[ManagedProcess]:
    """Run an inventory sandbox while inside: with the stock of the script, and with trouble."""
    with show.step("the inventory sandbox") as step:
        inventory = stockhouse_of(folder, step.tell)
        start_or_give_up(inventory.start, (inventory,))
        try:
            client = StockhouseClient(f"http://{inventory.address}")
            run(client.set_stock(script.stock))
            run(client.set_faults(seed=script.seed, **OF_ALL_CALLS))
            step.done(f"the inventory sandbox runs: {len(script.stock)} SKUs, and a few of all calls fail")
        except BaseException:
            inventory.stop(immediate=True)
            raise
    try:
        yield inventory
    finally:
        inventory.stop(immediate=True)


def _settings(
    servers: EmbeddedServers, sandbox: ManagedProcess, mailbox: Mailbox, inventory: ManagedProcess | None
) -> Settings:
    elsewhere = {}
    if inventory is not None:
        elsewhere = {
            "PAYMENTS_INVENTORY": "http",
            "PAYMENTS_INVENTORY_URL": f"http://{inventory.address}",
            "PAYMENTS_INVENTORY_TIMEOUT_S": "2",
        }
    lines = {
        **SETTINGS,
        "PAYMENTS_DATABASE_URL": servers.database_url,
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
        "PAYMENTS_STRIPE_API_BASE": f"http://{sandbox.address}",
        # Plain, for the mails never leave this machine.
        "PAYMENTS_SMTP_URL": f"smtp://{HOST}:{mailbox.port}?starttls=never",
        "PAYMENTS_CUSTOMER_DIRECTORY": str(servers.data_dir / CUSTOMERS),
        **PlayWebhooks.of(servers.data_dir).lines,
        **elsewhere,
    }
    write_whole(servers.data_dir / ".env", "".join(f"{name}={value}\n" for name, value in lines.items()))
    return load_settings({}, directory=servers.data_dir, use_embedded=False)

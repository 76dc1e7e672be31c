"""`payments up`: the whole pipeline in one process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from deploy.cli.common import say, settings_for_command
from deploy.cli.places import data_option, elsewhere, list_servers, progress_of
from deploy.consuming import all_consumed
from deploy.gateways import wants_sandbox
from deploy.inventories import wants_stockhouse
from deploy.processes import run_until_stopped
from deploy.roles import Roles, roles_until
from deploy.running import Stopping, run
from deploy.settings import Settings
from deploy.telemetry import quieten_kafka
from schemas.texts import counted

NOT_USED = ("database_url", "kafka_bootstrap_servers")


@click.command()
@click.option("--embedded", is_flag=True, help="Bring PostgreSQL, Kafka and the gateway sandbox along.")
@data_option
def up(*, embedded: bool, data: Path | None) -> int:
    """Run everything in one process: all consumers, the relay and the sweep, until SIGTERM.

    With --embedded also PostgreSQL, Kafka and, unless PAYMENTS_GATEWAY names another gateway, the sandbox, with schema
    and topics; with PAYMENTS_INVENTORY=http and no address the inventory sandbox, too. Commands that are typed in this
    folder use them. Without it, `payments migrate` and
    `payments topics create` come first. The first SIGTERM lets it finish what it does, a second one ends it at once.
    """
    overrides = {"PAYMENTS_DATA": str(data)} if data else {}
    settings = settings_for_command(quiet=False, overrides=overrides, use_embedded=not embedded)
    quieten_kafka(settings)
    with Stopping() as stopping:
        surroundings = _with_servers(settings, overrides, stopping) if embedded else _with_sandboxes(settings, stopping)
        with surroundings as (complete, ready):
            work = partial(
                roles_until, complete, Roles(consume=all_consumed(complete), relay=True, sweep=True, webhooks=True)
            )
            return run_until_stopped(complete, work, ready, stopping, roles="consume,relay,sweep")


Surroundings = tuple[Settings, Callable[[], None]]


@contextmanager
def _with_servers(settings: Settings, overrides: Mapping[str, str], stopping: Stopping) -> Iterator[Surroundings]:
    """Run servers of our own. Yields settings that name them, and a function that reports that all is ready."""
    from deploy.local_servers import embedded_servers  # noqa: PLC0415 - what runs no servers shall not load it

    if settings.gateway is not None:
        settings.gateway_kind()
    progress = progress_of(settings)
    for field in NOT_USED:
        if getattr(settings, field) is not None:
            progress(f"PAYMENTS_{field.upper()} is set, but --embedded brings its own")
    complete = settings

    def prepare(env: Mapping[str, str]) -> None:
        nonlocal complete
        complete = settings_for_command(quiet=False, overrides={**overrides, **env}, use_embedded=False)
        _prepare(complete, progress)

    servers = embedded_servers(settings, stopping, progress, sandbox=wants_sandbox(settings), prepare=prepare)
    with servers as supervisor:

        def ready() -> None:
            list_servers(supervisor, progress)
            if complete.log_format == "console":
                where = elsewhere(complete)
                say(f"ready; in another terminal: {stock_line(complete, where)}")
                say(f"                      then: {where}payments publish FILE   {where}payments order list")

        yield complete, ready


def stock_line(settings: Settings, where: str) -> str:
    """Return the command that fills the stock."""
    if settings.inventory == "internal":
        return f"{where}payments stock set tea 100"
    return f"curl -X PUT -d '{{\"available\": 100}}' {settings.external_inventory()}/inventory/stock/tea"


def _prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Make schema and topics where they are missing."""
    # They load Alembic, for servers of its own only.
    from deploy.preparing import make_topics, migrate_database  # noqa: PLC0415
    from outbox.schema.migrations import contraction  # noqa: PLC0415

    # The server has just been started for this process: whatever ran on it before is gone.
    schema = migrate_database(settings, progress, partial(contraction, alone=True)).after
    made = run(make_topics(settings))
    in_all = len(made.created) + len(made.existing)
    progress(f"schema at revision {schema.revision}, {counted(len(made.created), 'topic')} created of {in_all}")


@contextmanager
def _with_sandboxes(settings: Settings, stopping: Stopping) -> Iterator[Surroundings]:
    """Run sandboxes of our own if they are wanted. Yields settings that name them, and a function without effect."""
    settings.gateway_kind()
    gateway, inventory = wants_sandbox(settings), wants_stockhouse(settings)
    if not (gateway or inventory):
        yield settings, lambda: None
        return
    from deploy.local_servers import own_sandboxes  # noqa: PLC0415 - as above

    progress = progress_of(settings)
    with own_sandboxes(settings, stopping, progress) as complete:
        if gateway:
            progress(f"the gateway sandbox runs at {complete.stripe_api_base}")
        if inventory:
            progress(f"the inventory sandbox runs at {complete.inventory_url}")
        yield complete, lambda: None

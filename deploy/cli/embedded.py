"""`payments embedded`: PostgreSQL, Kafka and sandboxes, for the other commands."""

import asyncio
from pathlib import Path

import click

from deploy.cli.common import say, settings_for_command
from deploy.cli.places import data_option, elsewhere, list_servers, progress_of
from deploy.local_servers import embedded_servers
from deploy.running import Stopping, run


@click.command()
@data_option
def embedded(*, data: Path | None) -> None:
    """Run PostgreSQL, Kafka and the gateway sandbox on this machine, until SIGTERM.

    With PAYMENTS_INVENTORY=http and no address the inventory sandbox, too.

    Ports and data are kept over restarts. Commands that are typed in this folder use them; DIR/env holds the settings,
    DIR/state.json says what runs. One that dies is started again; those that a SIGKILL left behind are adopted.
    """
    overrides = {"PAYMENTS_DATA": str(data)} if data else {}
    settings = settings_for_command(quiet=False, ignore_stripe=True, use_embedded=False, overrides=overrides)
    progress = progress_of(settings)
    with Stopping() as stopping, embedded_servers(settings, stopping, progress, sandbox=True) as supervisor:
        list_servers(supervisor, progress)
        if settings.log_format == "console":
            where = elsewhere(settings)
            say(f"ready; in another terminal: {where}payments migrate && {where}payments topics create")
            say(f"                      then: {where}payments up")
        run(_wait_for_signal(stopping))


async def _wait_for_signal(stopping: Stopping) -> None:
    event: asyncio.Event = stopping.event()
    await event.wait()

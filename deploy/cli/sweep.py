"""`payments sweep`: what is due, lapsed or forgotten."""

from functools import partial

import click

from deploy.cli.common import emit, settings_for_command
from deploy.processes import run_once, run_until_stopped
from deploy.roles import Roles, roles_until, sweep_once
from schemas.texts import counted


@click.command()
@click.option("--once", is_flag=True, help="Do what is due and end.")
def sweep(*, once: bool) -> int:
    """Take up due and unknown operations, lapsed leases, holds that ran out and forgotten orders, until SIGTERM.

    Makes the inbox's partitions ahead of time, too. Any number may sweep: what one takes, the others skip.
    """
    settings = settings_for_command(quiet=once)
    if once:
        operations = run_once(settings, sweep_once)
        emit(counted(operations, "operation was due", "operations were due"))
        return 0
    return run_until_stopped(settings, partial(roles_until, settings, Roles(sweep=True)), roles="sweep")

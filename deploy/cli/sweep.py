"""`payments sweep`: what is due, lapsed or forgotten."""

from functools import partial

import click

from deploy.cli.common import emit, settings_for_command
from deploy.processes import run_once, run_until_stopped
from deploy.roles import Roles, roles_until, sweep_once
from schemas.texts import counted


@click.command()
@click.option("--once", is_flag=True, help="Do what is due and end.")
@click.option("--relay", is_flag=True, help="Be a relay, too: one process where two would be, and 60 MB less.")
def sweep(*, once: bool, relay: bool) -> int:
    """Take up due and unknown operations, lapsed leases, holds that ran out and forgotten orders, until SIGTERM.

    Makes the inbox's partitions ahead of time, too. Any number may sweep: what one takes, the others skip.
    """
    if once and relay:
        raise click.UsageError("--relay runs until SIGTERM; to send what is there: payments relay --once")
    settings = settings_for_command(quiet=once)
    if once:
        operations = run_once(settings, sweep_once)
        emit(counted(operations, "operation was due", "operations were due"))
        return 0
    work = partial(roles_until, settings, Roles(sweep=True, relay=relay))
    return run_until_stopped(settings, work, roles="relay,sweep" if relay else "sweep")

"""`payments relay`: from the outbox to Kafka."""

from functools import partial

import click

from deploy.cli.common import emit, settings_for_command
from deploy.processes import run_once, run_until_stopped
from deploy.relaying import relay_once, relay_until
from schemas.texts import counted


@click.command()
@click.option("--once", is_flag=True, help="Send what is there and end.")
def relay(*, once: bool) -> int:
    """Send what the outbox holds to Kafka, in order, until SIGTERM.

    One relay is active at a time; others stand by and take over when it ends.
    """
    settings = settings_for_command(quiet=once)
    if once:
        sent = run_once(settings, relay_once)
        emit(f"{counted(sent, 'message')} sent")
        return 0
    return run_until_stopped(settings, partial(relay_until, settings), roles="relay")

"""`payments webhooks`: the endpoint for the gateway's webhooks."""

from functools import partial

import click

from deploy.cli.common import settings_for_command
from deploy.processes import run_until_stopped
from deploy.roles import webhooks_until


@click.command()
def webhooks() -> int:
    """Take the gateway's webhooks at PAYMENTS_WEBHOOKS_LISTEN, path /webhooks/stripe, until SIGTERM.

    Each is checked against PAYMENTS_STRIPE_WEBHOOK_SECRET and kept in PostgreSQL before it is answered; `payments
    sweep` does the rest. It speaks plain HTTP: put a proxy with TLS in front. Any number may run.
    """
    settings = settings_for_command(quiet=False)
    return run_until_stopped(settings, partial(webhooks_until, settings), roles="webhooks", kafka=False)

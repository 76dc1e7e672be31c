"""`payments sandbox`: the gateway sandbox alone."""

import sys

import click

from deploy.cli.common import emit, settings_for_command
from deploy.failures import WRONG_USAGE, Failure
from deploy.sandbox.server import WrongAddress, serve
from deploy.standins.lines import InUse


@click.command()
def sandbox() -> None:
    """Run the gateway sandbox, a Stripe-shaped server for play money, until SIGTERM.

    PAYMENTS_SANDBOX_LISTEN says where (loopback only), PAYMENTS_SANDBOX_PENDING_S how long a pending refund or a debit
    takes. Its ledger is kept in PAYMENTS_DATA/sandbox.jsonl.
    """
    settings = settings_for_command(quiet=False, ignore_stripe=True, use_embedded=False)
    ledger = settings.data.resolve() / "sandbox.jsonl"
    try:
        serve(settings.sandbox_listen, ledger, settings.sandbox_pending_s, _ready)
    except (WrongAddress, InUse) as wrong:
        raise Failure(str(wrong), WRONG_USAGE) from wrong
    except OSError as error:
        raise Failure(
            f"the sandbox cannot run at {settings.sandbox_listen} ({error.strerror}): set PAYMENTS_SANDBOX_LISTEN or "
            "PAYMENTS_DATA to something free",
            WRONG_USAGE,
        ) from error


def _ready(address: str) -> None:
    emit(f"sandbox ready on {address}")
    # The process goes on: who waits for this line through a pipe or a file must see it now.
    sys.stdout.flush()

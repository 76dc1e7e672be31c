"""`python -m deploy.sandbox`: the gateway sandbox alone."""

import sys
from pathlib import Path

import click

from deploy.sandbox.server import WrongAddress, serve
from deploy.sandbox.webhooks import Hook
from deploy.standins.lines import InUse


@click.command(context_settings={"max_content_width": 120})
@click.option(
    "--listen", default="127.0.0.1:8420", show_default=True, help="HOST:PORT, loopback only; port 0 picks one."
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".payments/sandbox.jsonl"),
    show_default=True,
    help="The file that keeps the ledger over restarts.",
)
@click.option(
    "--pending-s",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Seconds a pending refund or a debit takes.",
)
@click.option("--webhook-url", help="Where its webhooks go; without it, none are sent.")
@click.option(
    "--webhook-secret",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the secret that signs them.",
)
def main(listen: str, data: Path, pending_s: float, webhook_url: str | None, webhook_secret: Path | None) -> None:
    """Run the gateway sandbox, a Stripe-shaped server for play money, until SIGTERM."""
    if (webhook_url is None) != (webhook_secret is None):
        raise click.UsageError("give --webhook-url and --webhook-secret, or neither")
    hook = None
    if webhook_url is not None and webhook_secret is not None:
        hook = Hook(webhook_url, webhook_secret.read_bytes().strip())
    try:
        serve(listen, data, pending_s, lambda address: click.echo(f"sandbox ready on {address}"), hook)
    except (WrongAddress, InUse) as wrong:
        click.echo(str(wrong), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

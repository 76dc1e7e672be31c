"""`python -m deploy.sandbox`: the gateway sandbox alone."""

import sys
from pathlib import Path

import click

from deploy.sandbox.journal import InUse
from deploy.sandbox.server import WrongAddress, serve


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
    "--pending-s", type=click.FloatRange(min=0), default=5.0, show_default=True, help="Seconds a pending refund takes."
)
def main(listen: str, data: Path, pending_s: float) -> None:
    """Run the gateway sandbox, a Stripe-shaped server for play money, until SIGTERM."""
    try:
        serve(listen, data, pending_s, lambda address: click.echo(f"sandbox ready on {address}"))
    except (WrongAddress, InUse) as wrong:
        click.echo(str(wrong), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

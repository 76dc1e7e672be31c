"""`python -m deploy.stockhouse`: the inventory sandbox alone."""

import sys
from pathlib import Path

import click

from deploy.standins.lines import InUse
from deploy.stockhouse.app import BATCH_MAX
from deploy.stockhouse.server import WrongAddress, serve


@click.command(context_settings={"max_content_width": 120})
@click.option(
    "--listen", default="127.0.0.1:8421", show_default=True, help="HOST:PORT, loopback only; port 0 picks one."
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".payments/inventory.jsonl"),
    show_default=True,
    help="The file that keeps stock and holds over restarts.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the token that callers must send.",
)
@click.option(
    "--batch-max",
    type=click.IntRange(0, 10_000),
    default=BATCH_MAX,
    show_default=True,
    help="So many calls are in one batch at most; 0: there are no batches.",
)
def main(listen: str, data: Path, token_file: Path | None, batch_max: int) -> None:
    """Run the inventory sandbox, a stock of play goods behind the contract of an external inventory, until SIGTERM."""
    token = None if token_file is None else token_file.read_text(encoding="utf-8").strip()

    def ready(address: str) -> None:
        click.echo(f"inventory sandbox ready on {address}")

    try:
        serve(listen, data, ready, token=token, batch_max=batch_max)
    except (WrongAddress, InUse) as wrong:
        click.echo(str(wrong), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

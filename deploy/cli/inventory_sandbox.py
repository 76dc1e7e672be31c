"""`payments inventory-sandbox`: the external inventory's stand-in, alone."""

import os
import sys
from pathlib import Path

import click

from deploy.cli.common import emit, emit_json, json_option, settings_for_command
from deploy.failures import WRONG_USAGE, Failure
from deploy.standins.lines import InUse
from deploy.stockhouse.app import BATCH_MAX
from deploy.stockhouse.server import WrongAddress, serve


@click.command("inventory-sandbox")
@click.option("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="Loopback only.  [default: any free port]")
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keeps stock and holds over restarts.  [default: inventory.jsonl in PAYMENTS_DATA]",
)
@click.option(
    "--batch-max",
    type=click.IntRange(0, 10_000),
    default=BATCH_MAX,
    show_default=True,
    help="So many calls are in one batch at most; 0: there are no batches.",
)
@json_option
def inventory_sandbox(*, listen: str, data: Path | None, batch_max: int, as_json: bool) -> None:
    """Run the inventory sandbox, a stock of play goods behind an external inventory's contract, until SIGTERM.

    It says its address once it answers; with --json as one document, with its pid. PAYMENTS_INVENTORY=http with
    PAYMENTS_INVENTORY_URL=ADDRESS has the pipeline use it. If PAYMENTS_INVENTORY_TOKEN is set, or
    PAYMENTS_INVENTORY_TOKEN_FILE names a file that has it, callers must send it. Set its stock with
    PUT ADDRESS/inventory/stock/SKU and {"available": 100}.
    """
    settings = settings_for_command(quiet=False, ignore_stripe=True, use_embedded=False)
    journal = data or settings.data.resolve() / "inventory.jsonl"
    token = settings.inventory_token.get_secret_value() if settings.inventory_token else None

    def ready(address: str) -> None:
        if as_json:
            emit_json({"address": address, "pid": os.getpid(), "data": str(journal)})
        else:
            emit(f"inventory sandbox ready on {address}")
        # The process goes on: who waits for this through a pipe or a file must see it now.
        sys.stdout.flush()

    try:
        serve(listen, journal, ready, token=token, batch_max=batch_max)
    except (WrongAddress, InUse) as wrong:
        raise Failure(str(wrong), WRONG_USAGE) from wrong
    except OSError as error:
        raise Failure(
            f"the inventory sandbox cannot run at {listen} ({error.strerror}): give something free with --listen or "
            "--data",
            WRONG_USAGE,
        ) from error

"""`payments demo`: the whole pipeline on servers of its own, and whether every order ends as its script says."""

from typing import TYPE_CHECKING

import click

from deploy.cli.common import emit_json, json_option, settings_for_command
from deploy.demo.elsewhere import ORDERS_MIN_ELSEWHERE, kinds_of
from deploy.demo.kinds import ORDERS_MIN
from deploy.failures import ANSWER_IS_NO

if TYPE_CHECKING:
    from deploy.demo.standing import SetUp

ORDERS_MAX = 100_000


@click.command()
@click.option(
    "--orders",
    type=click.IntRange(ORDERS_MIN, ORDERS_MAX),
    default=200,
    show_default=True,
    help=f"How many; from {ORDERS_MIN} on every kind is there, with --inventory http from {ORDERS_MIN_ELSEWHERE} on.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Decides on the script.")
@click.option(
    "--inventory",
    type=click.Choice(["internal", "http"]),
    default="internal",
    show_default=True,
    help="Where the stock is: in the database, or in the inventory sandbox, with trouble there.",
)
@click.option("--running", is_flag=True, help="On the deployment of the settings, which runs and has no orders yet.")
@json_option
def demo(*, orders: int, seed: int, inventory: str, running: bool, as_json: bool) -> int:
    """Play orders of every kind through the whole pipeline, and check how each ended.

    Brings a Kafka, a PostgreSQL and the gateway sandbox along, in a new temporary folder that is deleted at the end,
    and ignores all PAYMENTS_ settings: no other server and no real money is touched. Exit code 0: every order ended as
    its script says and every invariant of the audit holds; else 1.

    With --running no server is started: the orders go to the deployment of the PAYMENTS_ settings, as that of
    compose.yaml. It must use the gateway sandbox, and send its mails to this process.

    seconds is the time from the first order published to the last outcome seen on its topic; latency is from the
    publish acknowledged to the outcome seen, gateway time-outs included.
    """
    from rich.console import Console  # noqa: PLC0415 - keeps --help quick

    from deploy.demo.play import play  # noqa: PLC0415 - as above
    from deploy.demo.report import document, page  # noqa: PLC0415 - as above
    from deploy.demo.script import write_script  # noqa: PLC0415 - as above
    from deploy.demo.show import Show  # noqa: PLC0415 - as above

    elsewhere = inventory == "http"
    if orders < (least := len(kinds_of(elsewhere=elsewhere))):
        raise click.UsageError(f"--inventory {inventory} needs --orders {least} at least, or a kind would be left out")
    if running and elsewhere:
        raise click.UsageError("--running and --inventory http do not go together")
    script, show = write_script(orders, seed, elsewhere=elsewhere), Show(Console(stderr=True, emoji=False))
    played = play(script, show, _set_up(running=running))
    if as_json:
        emit_json(document(played))
    else:
        console = Console(emoji=False)
        signs = ("✓", "✗") if "utf" in console.encoding.lower() else ("ok", "NO")
        for line in page(played, *signs):
            console.print(line, highlight=False, soft_wrap=True)
    return 0 if played.good else ANSWER_IS_NO


def _set_up(*, running: bool) -> "SetUp":
    if running:
        from deploy.demo.standing import deployment  # noqa: PLC0415 - keeps --help quick

        return deployment(settings_for_command(use_embedded=False))
    from deploy.demo.stage import set_up  # noqa: PLC0415 - it needs the servers from packages

    return set_up

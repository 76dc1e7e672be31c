"""`python -m tests.restoring`: the drill of deploy/RESTORE.md on the real thing (tests/restoring/README.md)."""

import signal
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Final

import click

from tests.chaos.fleet import ROLES
from tests.chaos.published import Sent
from tests.chaos.world import World
from tests.minds.__main__ import say, text
from tests.minds.run import Driver, Result, Trouble, Wanted, progress_of, run
from tests.restoring.database import LostDatabase
from tests.restoring.disk import LostDisk

RATE: Final = 10.0
WINDOW_S: Final = 120.0
"""Cancels may come for so long after the payment: a restore takes its time, and what was asked for in time waits."""


@click.command(context_settings={"max_content_width": 120})
@click.argument("what", type=click.Choice(["database", "disk"]), default="database")
@click.option("--orders", type=click.IntRange(20), default=300, show_default=True, help="Orders that are cancelled.")
@click.option("--requests", type=click.IntRange(20), default=300, show_default=True, help="Refund requests, about.")
@click.option("--seed", type=int, multiple=True, default=(1,), show_default=True, help="One run for each.")
@click.option("--ago", type=float, multiple=True, default=(30.0,), show_default=True, help="Seconds that are lost.")
@click.option("--at", "lost_at", type=click.FloatRange(0.2, 0.95), default=0.6, show_default=True, help="Progress.")
@click.option("--rate", type=click.FloatRange(0.5), default=RATE, show_default=True, help="Orders a second.")
@click.option("--inventory", type=click.Choice(["internal", "http"]), default="internal", show_default=True)
def main(
    *,
    what: str,
    orders: int,
    requests: int,
    seed: tuple[int, ...],
    ago: tuple[float, ...],
    lost_at: float,
    rate: float,
    inventory: str,
) -> None:
    """Lose the DATABASE amid the load and restore it to some seconds before, or lose the DISK of Kafka.

    Then judge from outside. Exit code 0: everything was right. 1: it was not; the logs are kept, and their folder is
    named.
    """
    # What was started is ended, whoever asks for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    right = True
    for one in seed:
        for ago_s in ago if what == "database" else (0.0,):
            say(f"{what}: seed {one}, inventory {inventory}" + (f", {ago_s:g} s are lost" if ago_s else ""))
            wanted = Wanted(one, rate=rate, inventory=inventory, window_s=WINDOW_S)
            result = drill(wanted, say, orders=orders, requests=requests, lost_at=lost_at, ago_s=ago_s)
            sys.stdout.write("\n".join([*result.killed, *text(wanted, result)]) + "\n")
            sys.stdout.flush()
            right = right and result.holds
    sys.exit(0 if right else 1)


def drill(
    wanted: Wanted,
    tell: Callable[[str], None],
    *,
    orders: int,
    requests: int,
    lost_at: float,
    ago_s: float,
    roles: Collection[str] = tuple(ROLES),
) -> Result:
    """Run once. ago_s: seconds of the database that are lost; 0: the disk of Kafka is lost instead."""

    def lose(world: World, _: Wanted, drivers: Sequence[Driver], tell: Callable[[str], None]) -> Trouble:
        def progress() -> float:
            return progress_of(drivers)

        if ago_s:
            return LostDatabase(world=world, progress=progress, say=tell, lost_at=lost_at, ago_s=ago_s)

        def sent() -> list[Sent]:
            return [one for d in drivers for one in d.published.sent()]

        return LostDisk(world=world, progress=progress, say=tell, lost_at=lost_at, sent=sent)

    return run(wanted, tell, cancels=orders, refunds=requests, roles=roles, trouble=lose)


if __name__ == "__main__":
    main()

"""`python -m tests.upgrade`: upgrades under load on real servers, there and back. `make upgrade-test` runs it.

Pair A: this release and a made-up next one, side by side. Pair B: the release before, from git, with its own packages.
Exit 0: all is as it should be. 1: something is not. 2: something outside is missing, and the last line names it.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import click

from deploy.embedded import EmbeddedServers, temporary_servers
from outbox.schema.migrations import upgrade
from tests.e2e.conftest import furnish
from tests.e2e.deployment import Deployment, deployment
from tests.servers.databases import database_of, fresh_database
from tests.servers.memory import in_memory
from tests.upgrade.delays import Delays
from tests.upgrade.paused import empty, play_paused
from tests.upgrade.releases import Missing, install, released
from tests.upgrade.story import play

LATER_S = 5.0
"""No outcome comes later than this because of a restart, on a machine that does nothing else."""


def main() -> int:
    """Play the pairs that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--pair", choices=("A", "B"), action="append", help="only this one")
    parser.add_argument("--per-s", type=float, default=40.0, help="orders a second (pair A)")
    parser.add_argument("--orders", type=int, default=1_000, help="orders in each phase at least (pair A)")
    parser.add_argument("--brief", action="store_true", help="fewer restarts (pair A)")
    parser.add_argument("--load", type=float, default=1.0, help="how much longer all may take, on a busy machine")
    asked = parser.parse_args()
    pairs = asked.pair or ["A", "B"]
    try:
        with temporary_servers(progress=_say, parent=in_memory()) as servers:
            servers.start()
            if "A" in pairs:
                _pair_a(servers, asked)
            if "B" in pairs:
                _pair_b(servers)
    except Missing as missing:
        _say(f"make upgrade-test: {missing}")
        return 2
    except AssertionError as fault:
        _say(f"make upgrade-test: {fault}")
        return 1
    return 0


def _pair_a(servers: EmbeddedServers, asked: argparse.Namespace) -> None:
    later_s = LATER_S * asked.load
    with _shop(servers) as shop:
        found = play(shop, asked.per_s, asked.orders, _say, brief=asked.brief)
    for delays in found:
        click.echo(delays.line())
    late = [delays.phase for delays in found if delays.worst > _calm(found, delays) + later_s]
    assert not late, f"outcomes came more than {later_s:g} s later than without a restart: {', '.join(late)}"
    click.echo(f"pair A: {len(shop.published)} orders, each with its one outcome; none more than {later_s:g} s later")


def _calm(found: list[Delays], delays: Delays) -> float:
    """Return the worst delay under the same gateway while nothing is restarted."""
    gateway = delays.phase.partition(":")[0]
    return max(d.worst for d in found if d.phase.partition(":")[0] == gateway and "alone" in d.phase)


def _pair_b(servers: EmbeddedServers) -> None:
    before = released()[-1]
    old = install(before)
    with _shop(servers) as shop:
        empty(shop)
        play_paused(shop, old, _say)
    click.echo(f"pair B: {len(shop.published)} orders over the pause from {before.version}, each with its one outcome")


@contextmanager
def _shop(servers: EmbeddedServers) -> Iterator[Deployment]:
    with fresh_database(servers.database_url, None) as template, tempfile.TemporaryDirectory() as directory:
        upgrade(template)
        asyncio.run(furnish(template))
        with deployment(servers, Path(directory), database_of(template), f"upgrade{token_hex(3)}.") as shop:
            yield shop


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(main())

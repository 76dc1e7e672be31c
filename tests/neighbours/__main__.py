"""`python -m tests.neighbours`: the kits of other teams' languages before the real pipeline. See README.md."""

import argparse
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from deploy.embedded import temporary_servers
from tests.neighbours.checks import CHECKS, Missing
from tests.neighbours.kits import ALL, FOLDER, Kit, Prepared
from tests.neighbours.lines import check_lines
from tests.neighbours.publishing import check_publishing, write_orders
from tests.neighbours.settings import check_settings
from tests.neighbours.subscribing import Seen, check_subscribing
from tests.neighbours.world import World, open_world

PAID: Final = 40
DECLINED: Final = 10
CANCELLED: Final = 3
COLUMNS: Final = (
    "published and paid",
    "effect once",
    "declined seen",
    "cancel seen",
    "says what is missing",
    "refuses a wrong line",
)
OK, WRONG, NOT_RUN = "ok", "WRONG", "-"


@dataclass
class Row:
    """A line of the matrix. missing: why the kit could not run here. faults: what was wrong, in full."""

    name: str
    versions: str = ""
    missing: str | None = None
    cells: dict[str, str] = field(default_factory=lambda: dict.fromkeys(COLUMNS, NOT_RUN))
    faults: list[str] = field(default_factory=list)

    def look(self, column: str, claim: Callable[[], object]) -> None:
        """Run a claim; note whether it holds."""
        try:
            claim()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as fault:
            self.cells[column] = WRONG
            self.faults.append(f"{column}: {fault}")
        else:
            self.cells[column] = OK


def main() -> int:
    """Run kits and checks. 0: what ran is right; 1: something is wrong; 3: nothing is, but something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.neighbours", description=__doc__)
    names = [kit.name for kit in ALL] + [check.name for check in CHECKS]
    parser.add_argument("--only", choices=sorted(names), action="append", help="this one alone (may be given again)")
    asked = parser.parse_args()
    wanted = set(asked.only or names)
    kits = [kit for kit in ALL if kit.name in wanted]
    prepared = {kit.name: _prepare(kit) for kit in kits}
    rows = [_row(prepared[kit.name], kit) for kit in kits]
    if any(isinstance(one, Prepared) for one in prepared.values()):
        with (
            tempfile.TemporaryDirectory(prefix="payments-neighbours-") as logs,
            temporary_servers(progress=_say) as made,
        ):
            servers = made.start()
            prefix = f"n{secrets.token_hex(3)}."
            with open_world(
                servers.kafka_bootstrap, servers.database_url, prefix, Path(logs), servers.data_dir
            ) as world:
                for row in rows:
                    kit = prepared[row.name]
                    if isinstance(kit, Prepared):
                        _say(f"{row.name}: published, paid, subscribed")
                        _play(row, kit, world, Path(logs))
    rows += [_checked(check.name, check.run) for check in CHECKS if check.name in wanted]
    return _show(rows, len(kits))


def _prepare(kit: Kit) -> Prepared | str:
    try:
        return kit.prepare(kit, _say)
    except Missing as missing:
        return str(missing)


def _row(prepared: Prepared | str, kit: Kit) -> Row:
    if isinstance(prepared, str):
        return Row(kit.name, missing=prepared)
    return Row(kit.name, prepared.versions)


def _play(row: Row, kit: Prepared, world: World, logs: Path) -> None:
    orders = write_orders(kit.name, PAID, DECLINED)
    found: list[Seen] = []
    row.look(COLUMNS[0], lambda: check_publishing(kit, world, orders))
    row.look(COLUMNS[1], lambda: found.append(check_subscribing(kit, world, orders, logs)))
    for seen in found:
        row.look(COLUMNS[2], lambda n=seen.declined: _check_seen(n, "PaymentFailed", DECLINED, world))  # type: ignore[misc]
        row.look(COLUMNS[3], lambda n=seen.cancelled: _check_seen(n, "OrderCancelled", CANCELLED, world))  # type: ignore[misc]
    row.look(COLUMNS[4], lambda: check_settings(kit))
    row.look(COLUMNS[5], lambda: check_lines(kit))


def _check_seen(seen: int, event_type: str, least: int, world: World) -> None:
    orders = {message.key for message in world.read(event_type)}
    assert seen == len(orders) >= least, f"{event_type}: {seen} of {len(orders)} orders were seen"


def _checked(name: str, run: Callable[[Path, Callable[[str], None]], str]) -> Row:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    row = Row(name, cells={})
    try:
        row.versions = run(folder, _say)
    except Missing as missing:
        row.missing = str(missing)
    except AssertionError as fault:
        row.faults.append(str(fault))
    return row


def _show(rows: list[Row], kits: int) -> int:
    width = max((len(row.name) for row in rows), default=0)
    if kits:
        click.echo(f"{'kit':<{width}}  {'  '.join(COLUMNS)}  versions")
    for row in rows[:kits]:
        cells = "  ".join(f"{row.cells[column]:<{len(column)}}" for column in COLUMNS)
        click.echo(f"{row.name:<{width}}  {cells}  {row.versions or f'MISSING: {row.missing}'}")
    for row in rows[kits:]:
        verdict = "WRONG" if row.faults else "MISSING" if row.missing else "ok"
        click.echo(f"{row.name:<{width}}  {verdict:<7}  {row.missing or row.versions}")
    for row in rows:
        for fault in row.faults:
            click.echo(f"\n{row.name}: {fault}")
    if any(row.faults for row in rows):
        return 1
    return 3 if any(row.missing for row in rows) else 0


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(main())

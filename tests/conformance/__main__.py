"""`python -m tests.conformance`: our adapter and our sandbox before what others wrote. See README.md."""

import argparse
import asyncio
import sys
from typing import Final

import click

from tests.conformance import steps
from tests.conformance.tools import Missing

STEPS: Final = {
    "requests": steps.requests,
    "specification": steps.specification,
    "localstripe": steps.localstripe,
}
SHOWN_MAX = 40


def main() -> int:
    """Run the steps. 0: nothing is wrong; 1: something is; 3: nothing is, but a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", choices=sorted(STEPS), action="append", help="run this step (may be given again)")
    asked = parser.parse_args()
    wrong = missing = False
    for name, step in STEPS.items():
        if asked.only and name not in asked.only:
            continue
        try:
            found = asyncio.run(step(install=True, progress=_say))
        except Missing as lacking:
            missing = True
            click.echo(f"MISSING  {name}: {lacking}")
            continue
        wrong = wrong or bool(found.faults)
        _show(found)
    return 1 if wrong else 3 if missing else 0


def _show(found: steps.Found) -> None:
    click.echo(f"{'WRONG  ' if found.faults else 'ok     '}  {found.step}")
    for line in found.figures:
        click.echo(f"           {line}")
    for line in found.known:
        click.echo(f"           known: {line}")
    for line in found.faults[:SHOWN_MAX]:
        click.echo(f"         ! {line}")
    if len(found.faults) > SHOWN_MAX:
        click.echo(f"         ! and {len(found.faults) - SHOWN_MAX} more")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(main())

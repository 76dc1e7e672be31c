"""Runs checks without the kits, and says what was found."""

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from tests.neighbours.missing import Missing

Run = Callable[[Path, Callable[[str], None]], str]


def run_alone(checks: Mapping[str, Run], root: Path) -> int:
    """Run checks by name, each in its folder under `.venv/neighbours`. Return 0 right, 1 wrong, 3 something missing."""
    codes = set()
    for name, run in checks.items():
        folder = root / ".venv" / "neighbours" / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            found, code = run(folder, lambda text: click.echo(text, err=True)), 0
        except Missing as missing:
            found, code = f"MISSING: {missing}", 3
        except AssertionError as fault:
            found, code = f"WRONG: {fault}", 1
        click.echo(f"{name}: {found}")
        codes.add(code)
    return 1 if 1 in codes else max(codes, default=0)

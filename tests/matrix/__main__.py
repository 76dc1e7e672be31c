"""`python -m tests.matrix`: the short end-to-end form on each Kafka, PostgreSQL and Python that we support.

Exit 0: every cell passed. 1: one failed. 2: nothing could run, or was asked for wrongly; the last line says why.
What this machine has not is named, and not counted as passed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from tests.matrix.asking import Asked, BadChoice, ask, running
from tests.matrix.environments import NoEnvironment, python_of
from tests.matrix.results import Result, Unit, document, exit_code, table
from tests.matrix.versions import Cell, postgres_here, pythons
from tests.matrix.warned import ROOT

CELL_S: Final = 3600.0
UNITS_S: Final = 1800.0
UNITS: Final = ("tests/domain", "tests/schemas", "tests/contract", "tests/consumers/test_guard.py")
"""Tests that need no server. Warnings are errors in them, also those of a new Python."""
LAST: Final = 3000


def main() -> int:
    """Run the matrix."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="kafka=3.9", help="kafka=, postgres=, python=")
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    given = parser.parse_args()
    interpreters = {**pythons(Path.home()), running(): Path(sys.executable)}
    try:
        asked = ask(given.only, interpreters, postgres_here())
    except BadChoice as error:
        click.echo(f"make matrix: {error}", err=True)
        return 2
    results, units = _run(asked, interpreters)
    if given.json:
        click.echo(json.dumps(document(results, units, asked.missing), indent=1))
    else:
        for line in table(results, units):
            click.echo(line)
    ran: list[Result | Unit] = [*results, *units]
    for failed in ran:
        if failed.why:
            click.echo(f"\n{_name(failed)} FAILED:\n{failed.why}", err=True)
    for line in asked.missing:
        click.echo(f"make matrix: not tried: {line}", err=True)
    if not results:
        click.echo("make matrix: nothing can run here", err=True)
    return exit_code(results, units)


def _name(failed: Result | Unit) -> str:
    return str(failed.cell) if isinstance(failed, Result) else f"Python {failed.python}, tests without a server"


def _run(asked: Asked, interpreters: Mapping[str, Path]) -> tuple[list[Result], list[Unit]]:
    results: list[Result] = []
    units: list[Unit] = []
    for version in dict.fromkeys(cell.python for cell in asked.cells):
        cells = [cell for cell in asked.cells if cell.python == version]
        try:
            program = python_of(version, interpreters, _say)
        except NoEnvironment as error:
            results += [Result(cell, None, str(error)) for cell in cells]
            continue
        if version != running():
            _say(f"Python {version}: the tests that need no server")
            units.append(_run_units(version, program))
        results += [_run_cell(cell, program) for cell in cells]
    return results, units


def _run_cell(cell: Cell, program: Path) -> Result:
    _say(f"{cell} ...")
    command = [str(program), "-m", "tests.matrix.cell", "--kafka", cell.kafka, "--postgres", cell.postgres]
    code, out, err = _call(command, CELL_S)
    lines = out.strip().splitlines()
    if code == 0 and lines:
        _say(f"{cell}: passed")
        return Result(cell, json.loads(lines[-1]))
    _say(f"{cell}: FAILED")
    return Result(cell, None, err[-LAST:] or f"it ended with {code} and said nothing")


def _run_units(version: str, program: Path) -> Unit:
    code, out, _ = _call([str(program), "-m", "pytest", *UNITS, "-q", "-m", "not long and not integration"], UNITS_S)
    lines = [line.strip("= ") for line in out.splitlines() if " passed" in line or " failed" in line]
    said = lines[-1] if lines else "FAILED"
    return Unit(version, said, "" if code == 0 else out[-LAST:] or f"pytest ended with {code}")


def _call(command: list[str], timeout_s: float) -> tuple[int, str, str]:
    """Run a program in the project's folder. It takes its servers with it when it is killed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # noqa: TID251 - what programs need to run
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, "", f"not within {timeout_s:g} s"
    return done.returncode, done.stdout, done.stderr


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(main())

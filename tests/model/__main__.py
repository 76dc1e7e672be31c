"""`python -m tests.model`: runs the protocol's model in Spin. See README.md."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import click

from tests.model import running, specs

LIMIT_S: Final = 900.0


class Line(NamedTuple):
    """One thing that was looked at. right: the model says what it should. found: None for an end of the run before."""

    kind: str
    run: str
    says: str
    right: bool
    found: running.Found | None


def main() -> int:
    """Run what is asked for. 0: all is as it should be; 1: something is not; 3: a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    names = sorted({run.model for run in specs.RUNS})
    parser.add_argument("--only", choices=names, action="append", help="this model alone (may be given again)")
    parser.add_argument("--long", action="store_true", help="larger bounds too, by bitstate where that is needed")
    parser.add_argument("--rules", action="store_true", help="the rules alone: no mistakes, no ends")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="seconds for each search (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, progress on stderr")
    asked = parser.parse_args()
    try:
        running.check_tools()
    except running.Missing as missing:
        click.echo(f"MISSING  {missing}", err=True)
        return 3
    lines = []
    for line in _look(asked.only or names, long=asked.long, rules=asked.rules, limit_s=asked.limit_s):
        _show(line, err=asked.json)
        lines.append(line)
    if asked.json:
        click.echo(json.dumps({"holds": all(line.right for line in lines), "runs": [_plain(line) for line in lines]}))
    return 0 if all(line.right for line in lines) else 1


def _look(models: list[str], *, long: bool, rules: bool, limit_s: float) -> Iterator[Line]:
    runs = {run.name: run for run in specs.RUNS if run.model in models}
    for run in runs.values():
        if run.long and not long:
            continue
        ends = [] if rules else [end for end in specs.ENDS if end.run == run.name]
        found = running.run(
            run.model, run.defines, exhaustive=run.exhaustive, limit_s=limit_s, ends=[end.end for end in ends]
        )
        # Bitstate never shows that all was seen: it may take two states for one.
        right = found.violated is None and (found.complete or not run.exhaustive)
        yield Line("rules", run.name, run.says, right, found)
        for number, end in enumerate(ends):
            yield Line("end", end.run, end.says, number in found.ends, None)
    for mistake in [] if rules else specs.MISTAKES:
        if mistake.run in runs:
            run = runs[mistake.run]
            found = running.run(run.model, (*run.defines, mistake.define), exhaustive=True, limit_s=limit_s, quick=True)
            yield Line("mistake", mistake.run, mistake.says, found.violated is not None, found)


def _show(line: Line, *, err: bool) -> None:
    found = line.found
    word = "ok     " if line.right else "WRONG  "
    figures = f"{found.states:>9,} states  {found.seconds:6.1f} s" if found else " " * 26
    click.echo(f"{word} {line.kind:<8} {line.run:<19} {figures}  {line.says}", err=err)
    if line.right:
        return
    if line.kind != "rules" or found is None:
        click.echo("         not found: the model does not see what it should", err=err)
    elif found.violated is None:
        click.echo("         the search was not complete within its limits of time, memory or depth", err=err)
    else:
        click.echo(f"         broken: {found.violated}", err=err)
        for step in found.trace:
            click.echo(f"         {step}", err=err)


def _plain(line: Line) -> dict[str, object]:
    plain: dict[str, object] = {"kind": line.kind, "run": line.run, "says": line.says, "right": line.right}
    if line.found is not None:
        figures = ("violated", "complete", "states", "depth", "seconds")
        plain |= {name: getattr(line.found, name) for name in figures}
    return plain


if __name__ == "__main__":
    sys.exit(main())

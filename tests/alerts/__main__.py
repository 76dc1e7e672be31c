"""`python -m tests.alerts`: rules with promtool, queries of the dashboard with Prometheus. `--write` writes the files.

`--running` tries each alert on a running pipeline instead: half an hour, with ten minutes of load in it.

Exit 0: all is right. 1: something is not. 2: a tool is missing, and the last line names it.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from tests.alerts.files import RULES, TESTS, made
from tests.alerts.live import unanswered
from tests.alerts.running.place import FACTORS
from tests.alerts.running.run import QUIET_S, Wanted, document, run, table

PROMTOOL_S: Final = 600.0
"""It takes a quarter of a minute of CPU time; a busy machine takes longer."""
TOOLS: Final = ("promtool", "prometheus")


def main() -> int:
    """Check the rules and the dashboard, or write all files anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write rules, tests, runbooks and dashboard anew")
    parser.add_argument("--running", action="store_true", help="try each alert on a running pipeline")
    parser.add_argument("--minutes", type=float, default=10.0, help="of load without faults, with --running")
    parser.add_argument("--rate", type=float, default=3.0, help="orders a second, with --running")
    parser.add_argument("--only", action="append", default=[], help="part of an alert's or a cause's name; repeatable")
    parser.add_argument("--no-demo", action="store_true", help="leave the demo out, with --running")
    parser.add_argument("--quiet-s", type=float, default=QUIET_S, help="wait so long for alerts to end, with --running")
    parser.add_argument("--factor", type=int, choices=FACTORS, default=FACTORS[0], help="a busy machine needs 24")
    parser.add_argument("--json", type=Path, help="write what was found there, with --running")
    asked = parser.parse_args()
    if asked.write:
        for file, text in made().items():
            file.write_text(text, encoding="utf-8")
        click.echo(f"{len(made())} files are written; `make alerts` tests them")
        return 0
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        click.echo(
            f"make alerts: {' and '.join(missing)} not on the PATH: install Prometheus "
            "(Debian: apt-get install prometheus), then again",
            err=True,
        )
        return 2
    if asked.running:
        return _running(
            Wanted(asked.minutes, asked.rate, tuple(asked.only), not asked.no_demo, asked.quiet_s, asked.factor),
            asked.json,
        )
    wrong = [f"{file.name} is not what the tables make: `python -m tests.alerts --write`" for file in _stale()]
    wrong += _promtool("check", "rules", RULES)
    for file in TESTS.values():
        wrong += _promtool("test", "rules", file)
    wrong += unanswered()
    for fault in wrong:
        click.echo(fault, err=True)
    if not wrong:
        click.echo(
            "the alerts: promtool finds every rule as its tests say; Prometheus answers every query of the dashboard"
        )
    return 1 if wrong else 0


def _running(wanted: Wanted, json_file: Path | None) -> int:
    # So that all is ended and cleared away then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    result = run(wanted, lambda line: click.echo(f"[{time.monotonic() - begun:5.0f} s] {line}", err=True))
    click.echo(table(result))
    if json_file is not None:
        json_file.write_text(document(result), encoding="utf-8")
    for fault in result.faults:
        click.echo(fault, err=True)
    return 1 if result.faults else 0


def _stale() -> list[Path]:
    return [file for file, text in made().items() if not file.exists() or file.read_text("utf-8") != text]


def _promtool(*command: object) -> list[str]:
    words = ["promtool", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PROMTOOL_S, check=False)
    return [] if done.returncode == 0 else [f"{' '.join(words[:3])}: {done.stdout.strip()} {done.stderr.strip()}"]


if __name__ == "__main__":
    sys.exit(main())

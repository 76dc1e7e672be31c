"""`python -m tests.alerts`: rules with promtool, queries of the dashboard with Prometheus. `--write` writes the files.

Exit 0: all is right. 1: something is not. 2: a tool is missing, and the last line names it.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from tests.alerts.files import RULES, TESTS, made
from tests.alerts.live import unanswered

PROMTOOL_S: Final = 600.0
"""It takes a quarter of a minute of CPU time; a busy machine takes longer."""
TOOLS: Final = ("promtool", "prometheus")


def main() -> int:
    """Check the rules and the dashboard, or write all files anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write rules, tests, runbooks and dashboard anew")
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


def _stale() -> list[Path]:
    return [file for file, text in made().items() if not file.exists() or file.read_text("utf-8") != text]


def _promtool(*command: object) -> list[str]:
    words = ["promtool", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PROMTOOL_S, check=False)
    return [] if done.returncode == 0 else [f"{' '.join(words[:3])}: {done.stdout.strip()} {done.stderr.strip()}"]


if __name__ == "__main__":
    sys.exit(main())

"""Runs commands as a shell does, with settings of a test's own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).with_name("payments")
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def payments(directory: Path, *arguments: str, stdin: str = "", **environment: str) -> Ran:
    """Run `payments` in a directory, with these settings and no others."""
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=directory,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)

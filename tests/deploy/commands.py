"""Runs commands as a shell does, with settings of a test's own."""

import atexit
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.forking import Forks

COMMAND = Path(sys.executable).with_name("payments")
TIMEOUT_S = 60
OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")
"""Variables that Python reads when it starts, so that a fork would not see them."""
ALWAYS_STARTED = ("demo", "embedded", "up")
"""Commands that start servers: each is a process as in the shell."""
_forks = Forks()
atexit.register(_forks.close)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def payments(directory: Path, *arguments: str, stdin: str = "", **environment: str) -> Ran:
    """Run `payments` in a directory, with these settings and no others. It is a fork where that is the same."""
    if (
        arguments
        and arguments[0] not in ALWAYS_STARTED
        and not any(n.startswith(OF_THE_INTERPRETER) for n in environment)
    ):
        code, out, err = _forks.run(directory, arguments, stdin.encode(), environment, TIMEOUT_S)
        return Ran(code, out.decode(), err.decode())
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

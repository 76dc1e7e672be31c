"""What operators' commands cost: CPU of the command with its start, CPU of PostgreSQL, and the command's memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.environment import with_settings
from tests.bench.history import used

COMMANDS = (
    ("audit",),
    ("order", "list"),
    ("order", "show", "demo-100000000-00002"),
    ("dlq", "list"),
)


class Cost(NamedTuple):
    """What one run cost. CPU in seconds, user and system; resident memory in MB (2^20 bytes), the most at a time."""

    command: str
    exit_code: int
    client_s: float
    postgres_s: float
    rss_mb: float


def measure(
    command: Sequence[str], settings: Mapping[str, str], folder: Path, postgres_cpu_s: Callable[[], float]
) -> Cost:
    """Run a command of this module in a folder without .env. postgres_cpu_s: reads what PostgreSQL has spent."""
    before = postgres_cpu_s()
    argv = [str(Path(sys.executable).parent / "payments"), *command]
    told = folder / "command.used"
    with (folder / "command.out").open("wb") as out:
        subprocess.run(
            [sys.executable, "-S", str(Path(used.__file__)), str(told), *argv],
            env=with_settings(settings),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=True,
        )
    code, spent_s, most_kib = json.loads(told.read_text(encoding="utf-8"))
    return Cost(" ".join(command), code, spent_s, postgres_cpu_s() - before, most_kib / 1024)

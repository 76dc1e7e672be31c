"""Runs `payments replay` as a process, kills it at random moments, and counts what its files hold in the end."""

import random
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import duckdb
import psutil

from tests.processes import COMMAND

TOPIC = "OrderConfirmed"
LOOK_S = 0.25
"""Between two looks at its memory."""


class Cost(NamedTuple):
    """What a run took: seconds on the clock and of the processor, and the most memory, in bytes."""

    wall_s: float
    cpu_s: float
    memory: int


def run_to_end(out: Path, environment: Mapping[str, str], kill_after_s: float | None = None) -> Cost | None:
    """Run it; return its cost, or None if it was killed first."""
    began, before = time.monotonic(), _used()
    command = [str(COMMAND), "replay", TOPIC, "--out", str(out)]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, env=environment, stderr=said, cwd=out.parent)
        memory = 0
        while child.poll() is None:
            memory = max(memory, _memory(child.pid))
            if kill_after_s is not None and time.monotonic() - began > kill_after_s:
                child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.wait(LOOK_S if kill_after_s is None else min(LOOK_S, kill_after_s))
        if child.returncode == -signal.SIGKILL:
            return None
        said.seek(0)
        assert child.returncode == 0, said.read()
    return Cost(time.monotonic() - began, _used() - before, memory)


def _used() -> float:
    """Return the processor's seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory(pid: int) -> int:
    """Return the most memory that a process and its children have had, together, in bytes.

    Not ru_maxrss: Linux gives a new process that of the one that started it, and ours holds all bodies.
    """
    total = 0
    with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        for each in (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))):
            status = Path(f"/proc/{each}/status").read_text()
            total += sum(int(size) for size in re.findall(r"VmHWM:\s*(\d+) kB", status)) * 1024
    return total


def run_with_kills(out: Path, environment: Mapping[str, str], kills: int, within_s: float, seed: int) -> int:
    """Kill it so often, each time within so many seconds, then let it end. Return how often it was killed."""
    draw = random.Random(seed)
    killed = 0
    for _ in range(kills):
        killed += run_to_end(out, environment, draw.uniform(0.2, within_s)) is None
    assert run_to_end(out, environment) is not None
    return killed


def counted(out: Path) -> tuple[int, int]:
    """Return the rows of all files, and the different ids in them."""
    files = f"{out}/topic={TOPIC}/day=*/*.parquet"
    if not list(out.glob(f"topic={TOPIC}/day=*/*.parquet")):
        return 0, 0
    with duckdb.connect() as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT event_id::UUID) FROM read_parquet(?)", [files])
        rows, ids = found.fetchall()[0]
    return rows, ids

"""Runs `payments replay` as a process, kills it at random moments, and counts what its files hold in the end."""

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tests.processes import COMMAND

TOPIC = "OrderConfirmed"


class Cost(NamedTuple):
    """What a run took: seconds on the clock and of the processor, and the most memory, in bytes."""

    wall_s: float
    cpu_s: float
    memory: int


def run_to_end(out: Path, environment: Mapping[str, str], kill_after_s: float | None = None) -> Cost | None:
    """Run it; return its cost, or None if it was killed first."""
    began = time.monotonic()
    child = subprocess.Popen(
        [COMMAND, "replay", TOPIC, "--out", out], env=environment, stderr=subprocess.PIPE, text=True, cwd=out.parent
    )
    assert child.stderr is not None
    if kill_after_s is not None:
        try:
            child.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
    with child.stderr:
        said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0) if child.returncode is None else (0, child.returncode, None)
    child.returncode = os.waitstatus_to_exitcode(status) if usage is not None else child.returncode
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, said
    usage = usage or resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


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
    rows = 0
    ids: set[bytes] = set()
    for path in sorted(out.glob(f"topic={TOPIC}/day=*/*.parquet")):
        column = pq.read_table(path, columns=["event_id"], partitioning=None).column(0)
        rows += len(column)
        ids.update(bytes.fromhex(text.replace("-", "")) for text in column.to_pylist())
    return rows, len(ids)

"""`python -m tests.bench.launch ARGUMENTS...`: the command `payments`, with a gateway that several processes may share.

The simulated gateway keeps its books in the process: an authorization of one process is unknown to another, and every
transaction is kept for good. Where the benchmark runs several processes, or half a million orders, this one stands in:
it remembers nothing, for each answer follows from the call alone, so that every process gives the same. It waits as the
simulated one does. All else is the command as it ships: it loads what the command loads, so that its memory is the
command's. With BENCH_HOPS_FILE its spans go to that file (tests/bench/hops).
"""

import os
import sys
from pathlib import Path
from typing import Final

from deploy.cli import main
from deploy.lean import load_log

FILE: Final = "BENCH_HOPS_FILE"
"""The environment variable that names the file of spans."""
CALLING: Final = frozenset({"consume", "sweep", "up"})
"""The commands that call a gateway."""


def stand_in() -> None:
    """Have this process call the gateway without memory."""
    from deploy import gateways
    from tests.bench.stateless import gateway_of

    gateways.gateway_of = gateway_of


def keep_spans(file: Path) -> None:
    """Have this process keep every span for this file."""
    from tests.bench.hops.recording import record_to

    record_to(file)


if __name__ == "__main__":
    load_log()
    if CALLING & set(sys.argv[1:2]):
        stand_in()
    if name := os.environ.get(FILE):  # noqa: TID251 - a setting of the bench
        keep_spans(Path(name))
    main()

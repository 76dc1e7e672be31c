"""What a start of `payments consume all` costs: its CPU until its first order is done, and its memory then."""

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.bench.contestants import CONTESTANTS
from tests.bench.environment import Progress
from tests.bench.places import Plan, place_for
from tests.bench.processes import Failed, Processes
from tests.bench.run import Run
from tests.bench.servers import Servers
from tests.bench.watching import Watcher

KINDS: Final = 100
"""Of so many orders at least one is paid: the longest way."""


def measure_starts(servers: Servers, plan: Plan, starts: int, progress: Progress) -> list[dict[str, Any]]:
    """Start the consumers so often, each time with one order that waits; the relay runs before and stays.

    The first start compiles what was not compiled before, and is not told.
    """
    results: list[dict[str, Any]] = []
    relaying = replace(CONTESTANTS["ours"], processes=(("relay",),))
    with ExitStack() as stack:
        place = stack.enter_context(place_for(servers, plan, relaying, 0.0))
        watcher = stack.enter_context(Watcher(servers.clients, place.prefix, plan.partitions))
        command = str(Path(sys.executable).parent / "payments")
        relay = stack.enter_context(Processes([[command, "relay"]], place.settings, place.log))
        run = Run(servers, plan, relaying, place, relay, watcher)
        for number in range(starts + 1):
            run.publish([next(one for one in run.prepare(KINDS) if one[0].kind == "paid")])
            with Processes([[command, "consume", "all"]], place.settings, place.log) as consumers:
                run.processes = consumers
                if not run.wait_for_outcomes():
                    raise Failed(run.failures[-1], consumers.log_end())
                result = {"contestant": "ours", "cpu_s": consumers.cpu_s(), "rss_mb": consumers.rss_mb()[0]}
            if number:
                results.append({"round": number - 1, **result, "failures": []})
                progress(f"start {number}/{starts}: {result['cpu_s']:.2f} s of CPU, {result['rss_mb']:.0f} MB")
    return results


def start_table(results: Sequence[dict[str, Any]]) -> str:
    """Show the median, the least and the most."""
    lines = ["| payments consume all, until its first order is done | median | least | most |", "|---|---|---|---|"]
    for what, field, digits in (("CPU s", "cpu_s", 2), ("RSS MB", "rss_mb", 0)):
        found = sorted(one[field] for one in results)
        shown = (statistics.median(found), found[0], found[-1])
        lines.append(f"| {what} | {' | '.join(f'{figure:.{digits}f}' for figure in shown)} |")
    return "\n".join(lines)

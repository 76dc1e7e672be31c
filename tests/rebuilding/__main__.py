"""Measures `payments audit --rebuild` at several sizes: its time, its memory, and what it asks of others.

    python -m tests.rebuilding --orders 10000 40000
    python -m tests.rebuilding --orders 200000

The orders go through the real pipeline, with the simulated gateway; each tenth is declined. The rebuild gets addresses
of a gateway and an inventory at which connections are counted. Exit 1: an order differs, something was asked, or the
memory of two sizes is apart by more than 15 %.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.embedded import temporary_servers
from tests.counting import door
from tests.processes import COMMAND
from tests.rebuilding.filling import Filled, open_filled

APART_MAX: Final = 0.15
NOBODY: Final = "http://127.0.0.1:1"
MEGABYTE: Final = 1e6


class Cost(NamedTuple):
    """What it took: seconds on the clock and of the processor, and the most memory, in bytes."""

    wall_s: float
    cpu_s: float
    memory: int


class Measured(NamedTuple):
    """One rebuild. asked: connections to gateway and inventory."""

    orders: int
    equal: int
    hashes: set[str]
    messages: int
    cost: Cost
    asked: int


def main() -> int:
    """Fill, rebuild, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[10_000, 40_000], help="sizes, in rising order")
    sizes = parser.parse_args().orders
    with (
        temporary_servers(progress=say) as made,
        tempfile.TemporaryDirectory(prefix="payments-rebuilding-") as folder,
        open_filled(made.start(), Path(folder)) as filled,
    ):
        return judge([measure(filled, size, Path(folder)) for size in sizes])


def measure(filled: Filled, orders: int, folder: Path) -> Measured:
    """Let the pipeline come to so many orders in all, then rebuild them."""
    say(f"{orders:,} orders through the pipeline")
    filled.grow(orders, say)
    with door(NOBODY) as gateway, door(NOBODY) as inventory, (folder / "rebuilt.json").open("w+b") as out:
        outside = {
            "PAYMENTS_GATEWAY": "sandbox",
            "PAYMENTS_STRIPE_API_BASE": gateway.address,
            "PAYMENTS_INVENTORY": "http",
            "PAYMENTS_INVENTORY_URL": inventory.address,
        }
        cost = _rebuild(filled.environment | outside, folder, out.fileno())
        out.seek(0)
        told = json.load(out)["rebuild"]
        measured = Measured(
            orders,
            told["equal"],
            set(told["sha256"].values()),
            told["messages"],
            cost,
            gateway.calls + inventory.calls,
        )
    say(
        f"{measured.orders:,} orders, {measured.messages:,} messages: {cost.wall_s / 60:.2f} minutes on the clock, "
        f"{cost.cpu_s / 60:.2f} of the processor, {cost.memory / MEGABYTE:.0f} MB; {measured.equal:,} equal, "
        f"hashes {'equal' if len(measured.hashes) == 1 else 'DIFFER'}, {measured.asked} calls outside"
    )
    return measured


def _rebuild(environment: Mapping[str, str], folder: Path, out: int) -> Cost:
    """Run the command to its end."""
    began = time.monotonic()
    with (folder / "rebuilt.err").open("wb") as err:
        command = [str(COMMAND), "audit", "--rebuild", "--json"]
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=err, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in {0, 1}, (folder / "rebuilt.err").read_text("utf-8")[-2_000:]
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def judge(measured: Sequence[Measured]) -> int:
    """Return 1 if something is not as it must be."""
    memory = [one.cost.memory for one in measured]
    apart = max(memory) / min(memory) - 1
    say(f"memory: {apart:.1%} apart")
    right = all(one.equal == one.orders and len(one.hashes) == 1 and one.asked == 0 for one in measured)
    return 0 if right and apart <= APART_MAX else 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

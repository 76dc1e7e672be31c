"""An inventory sandbox in a process of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.stand_in import StandIn


class StockhouseProcess(StandIn):
    """`python -m deploy.stockhouse`."""

    MODULE = "deploy.stockhouse"
    READY = "inventory sandbox ready on "


@contextlib.contextmanager
def running(data: Path, more: Sequence[str] = ()) -> Iterator[StockhouseProcess]:
    """Run an inventory sandbox for the length of a block."""
    process = StockhouseProcess(data, more)
    try:
        yield process
    finally:
        process.stop()

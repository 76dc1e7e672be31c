"""A sandbox in a process of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.stand_in import StandIn


class SandboxProcess(StandIn):
    """`python -m deploy.sandbox`. pending_s: how long what is pending stays so."""

    MODULE = "deploy.sandbox"
    READY = "sandbox ready on "

    def __init__(self, data: Path, pending_s: float = 0.2, more: Sequence[str] = ()) -> None:
        super().__init__(data, ["--pending-s", str(pending_s), *more])


@contextlib.contextmanager
def running(data: Path, pending_s: float = 0.2, more: Sequence[str] = ()) -> Iterator[SandboxProcess]:
    """Run a sandbox for the length of a block."""
    sandbox = SandboxProcess(data, pending_s, more)
    try:
        yield sandbox
    finally:
        sandbox.stop()

"""An inventory sandbox in a process of its own, as it runs for everybody else."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

STOP_S = 10.0
READY = "inventory sandbox ready on "


class StockhouseProcess:
    """`python -m deploy.stockhouse` on a free port; its data stay in one file."""

    def __init__(self, data: Path, more: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "deploy.stockhouse", "--listen", "127.0.0.1:0", "--data", str(data), *more]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(READY), f"the inventory sandbox did not start: {line!r}"
        self.address = line.removeprefix(READY).strip()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._reap()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def _reap(self) -> int:
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


@contextlib.contextmanager
def running(data: Path, more: Sequence[str] = ()) -> Iterator[StockhouseProcess]:
    """Run an inventory sandbox for the length of a block."""
    process = StockhouseProcess(data, more)
    try:
        yield process
    finally:
        process.stop()

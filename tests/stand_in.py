"""A stand-in server in a process of its own, as it runs for everybody else."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

STOP_S = 10.0


class StandIn:
    """`python -m MODULE` on a free port; its data stay in one file. READY: how its first line begins."""

    MODULE: ClassVar[str]
    READY: ClassVar[str]

    def __init__(self, data: Path, more: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", self.MODULE, "--listen", "127.0.0.1:0", "--data", str(data), *more]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(self.READY), f"{self.MODULE} did not start: {line!r}"
        self.address = line.removeprefix(self.READY).strip()

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

"""A sandbox in a process of its own, as it runs for everybody else."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

STOP_S = 10.0


class SandboxProcess:
    """`python -m deploy.sandbox` on a free port; its data stay in one file."""

    def __init__(self, data: Path, pending_s: float = 0.2, more: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "deploy.sandbox", "--listen", "127.0.0.1:0", "--data", str(data)]
        command += ["--pending-s", str(pending_s), *more]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("sandbox ready on "), f"the sandbox did not start: {line!r}"
        self.address = line.removeprefix("sandbox ready on ").strip()

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
def running(data: Path, pending_s: float = 0.2, more: Sequence[str] = ()) -> Iterator[SandboxProcess]:
    """Run a sandbox for the length of a block."""
    sandbox = SandboxProcess(data, pending_s, more)
    try:
        yield sandbox
    finally:
        sandbox.stop()

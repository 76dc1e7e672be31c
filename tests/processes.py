"""`payments` commands as processes of their own: started with settings of a test's own, watched, always ended.

with started(tmp_path, "consume", "OrderConfirmed", **environment) as process:
    process.await_line("running")
    ...
    assert process.stop() == 0
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.eventually import EVENTUALLY_S, eventually

COMMAND = Path(sys.executable).with_name("payments")


class Process:
    """A running command. Its output goes to files in the test's folder, so that it never waits for a reader."""

    def __init__(
        self, directory: Path, arguments: tuple[str, ...], environment: dict[str, str], command: Path = COMMAND
    ) -> None:
        number = sum(1 for _ in directory.glob("process-*.err"))
        self._out = directory / f"process-{number}.out"
        self._err = directory / f"process-{number}.err"
        self._what = " ".join(arguments)
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._child = subprocess.Popen(
                [command, *arguments], cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._child.poll()

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._err.read_text("utf-8")

    @property
    def out(self) -> str:
        """What it wrote to stdout so far."""
        return self._out.read_text("utf-8")

    def await_line(self, text: str, timeout_s: float = EVENTUALLY_S) -> None:
        """Wait until a whole line with this text is in its log; fail if it ends before."""
        self.eventually(
            lambda: any(text in line for line in self.log.split("\n")[:-1]), f"a line with {text!r}", timeout_s
        )

    def eventually(self, condition: Callable[[], object], what: str, timeout_s: float = EVENTUALLY_S) -> None:
        """Wait until the condition holds; fail, showing the log, if this process ends before or the time is over."""

        def holds() -> object:
            ended = self.code is not None
            found = condition()
            assert found or not ended, (
                f"`payments {self._what}` ended with {self.code} before: {what}; its log:\n{self.log}"
            )
            return found

        eventually(holds, lambda: f"{what}; log of {self._what}:\n{self.log}", timeout_s)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def stop(self, timeout_s: float = EVENTUALLY_S) -> int:
        """SIGTERM, and wait; returns the exit code."""
        self._child.terminate()
        return self.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. May be repeated."""
        self._child.kill()
        self._child.wait(EVENTUALLY_S)

    def end(self) -> None:
        """SIGKILL it, and the servers that it has started, as long as it runs itself."""
        started_by_it: list[psutil.Process] = []
        if self.code is None:
            with suppress(psutil.NoSuchProcess):
                started_by_it = psutil.Process(self.pid).children(recursive=True)
        self.kill()
        for process in started_by_it:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def wait(self, timeout_s: float = EVENTUALLY_S) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"`payments {self._what}` did not end; its log:\n{self.log}") from None


@contextmanager
def started(directory: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    """Start `payments` in a directory, with these settings and no others; it is killed on leaving if it still runs."""
    with started_as(COMMAND, directory, *arguments, **environment) as process:
        yield process


@contextmanager
def started_as(command: Path, directory: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    """As started, by the command of another installation."""
    process = Process(directory, arguments, environment, command)
    try:
        yield process
    finally:
        process.end()

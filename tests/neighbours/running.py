"""Programs of a kit as processes of their own, with the environment that they are given and no settings of ours."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.eventually import EVENTUALLY_S

LOG_TAIL: Final = 3_000


def environment(**more: str) -> dict[str, str]:
    """Return what a program needs of this machine (paths, proxies), without settings of ours, and with these."""
    ours = dict(os.environ)  # noqa: TID251 - a program of another language finds its tools by PATH and HOME
    return {name: value for name, value in ours.items() if not name.startswith("PAYMENTS_")} | more


@dataclass(frozen=True, slots=True)
class Program:
    """A running program; its output goes to a file."""

    child: subprocess.Popen[bytes]
    output: Path

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return self.output.read_text("utf-8", "replace")[-LOG_TAIL:]

    def check_runs(self) -> None:
        """Fail if it has ended."""
        assert self.child.poll() is None, f"it ended with {self.child.returncode}:\n{self.log}"

    def kill(self) -> None:
        """SIGKILL it and its children, and wait. May be repeated."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(EVENTUALLY_S)

    def stop(self) -> None:
        """SIGTERM, as a supervisor sends it; fail unless it ends with 0."""
        self.check_runs()
        self.child.terminate()
        try:
            code = self.child.wait(EVENTUALLY_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end after SIGTERM:\n{self.log}") from None
        assert code == 0, f"after SIGTERM it ended with {code}:\n{self.log}"


@contextmanager
def running(argv: Sequence[str], folder: Path, output: Path, variables: Mapping[str, str]) -> Iterator[Program]:
    """Run a program in a folder for the length of a block; it is killed on leaving if it still runs."""
    with output.open("wb") as out:
        child = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(child, output)
    try:
        yield program
    finally:
        program.kill()

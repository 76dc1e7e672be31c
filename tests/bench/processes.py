"""The processes that are measured: started with their settings, watched, and always ended, with what they started."""

import contextlib
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from tests.bench.environment import with_settings
from tests.bench.servers import cpu_s

STOP_S = 10.0
COMMAND_S = 900.0
TOLD_BYTES = 1500


class Failed(Exception):  # noqa: N818 - a result, shown in the table
    """A contestant cannot be measured; the text says what happened, log the end of what it logged."""

    def __init__(self, what: str, log: str = "") -> None:
        super().__init__(what)
        self.log = log


class Processes:
    """Processes of one contestant, all logging to one file, in an empty folder so that no .env is read."""

    def __init__(self, commands: Sequence[Sequence[str]], settings: Mapping[str, str], log: Path) -> None:
        self._commands = commands
        self._settings = settings
        self._log = log
        self._folder = log.with_suffix(".cwd")
        self._open: IO[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        self.known: list[psutil.Process] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self._open = self._log.open("ab")
        for command in self._commands:
            self._running.append(
                subprocess.Popen(
                    command,
                    env=with_settings(self._settings),
                    cwd=self._folder,
                    stdout=self._open,
                    stderr=self._open,
                )
            )
        self.known = [psutil.Process(process.pid) for process in self._running]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        started = []
        for known in self.known:  # a peer may have started a server of its own
            with contextlib.suppress(psutil.Error):
                started += known.children(recursive=True)
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in started:
            with contextlib.suppress(psutil.Error):
                child.kill()
        if self._open is not None:
            self._open.close()

    def run(self, command: Sequence[str], answers: Sequence[int] = (0,)) -> str:
        """Run a command to its end and return what it printed. Raises Failed for any exit code but these answers."""
        self._folder.mkdir(exist_ok=True)
        environment = with_settings(self._settings)
        done = subprocess.run(
            command, env=environment, cwd=self._folder, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if done.returncode not in answers:
            raise Failed(f"{' '.join(command[-2:])} failed", (done.stderr or done.stdout)[-TOLD_BYTES:])
        return done.stdout

    def dead(self) -> list[str]:
        """Name those that ended by themselves."""
        return [" ".join(map(str, p.args[-2:])) for p in self._running if p.poll() is not None]  # type: ignore[index]

    def cpu_s(self) -> float:
        """CPU seconds of all, and of what they started."""
        return cpu_s(self.known)

    def rss_mb(self) -> list[float]:
        """Resident memory of each, in MB (2^20 bytes)."""
        return [process.memory_info().rss / 2**20 for process in self.known if process.is_running()]

    def log_end(self) -> str:
        """Return the end of what they logged."""
        return self._log.read_text(errors="replace")[-TOLD_BYTES:] if self._log.exists() else ""

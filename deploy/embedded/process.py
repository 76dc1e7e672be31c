"""One server process: started in a session of its own, and found again by pid and start time.

A pid alone is not enough: another process may have it by now. Before any signal we check the start time, or the whole
command line, which names our data directory.
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import last_lines, write_whole
from deploy.embedded.guard import has_ended, recorded

POLL_S = 0.02
KILL_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: argv, the working directory, and the OS user (None: ours). The environment is inherited."""

    argv: Sequence[str]
    cwd: Path
    user: str | None = None


class ServerProcess:
    """A process with a pid file and a log, started by this process or by a parent that has died."""

    def __init__(self, name: str, *, pid_file: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._pid_file = pid_file
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid, or None while it does not run."""
        return self._process.pid if self._process is not None and self.alive() else None

    def alive(self) -> bool:
        """Return whether it runs (a zombie does not). Reaps it if it is our child."""
        if self._child is not None:
            return self._child.poll() is None
        return self._process is not None and not has_ended(self._process)

    def adopt(self, command: Command) -> bool:
        """Take over a process that a dead parent left running; False if there is none. Found by pid file or argv."""
        if self.alive():
            return True
        self._child = None
        self._process = recorded(self._pid_file) or _running(command.argv)
        if self._process is not None:
            self._record()
        return self.alive()

    def spawn(self, command: Command) -> None:
        """Start it in a session of its own, so that Ctrl-C does not reach it. The last run's log is kept as `.1`."""
        if self.log.exists():
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        as_user = {} if command.user is None else {"user": command.user, "group": command.user, "extra_groups": []}
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                start_new_session=True,
                **as_user,  # type: ignore[call-overload]
            )
        self._process = psutil.Process(self._child.pid)
        self._record()

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until it is ready. If it dies or takes longer, kill it; raise EmbeddedError with the end of its log."""
        end = time.monotonic() + timeout_s
        while self.alive() and time.monotonic() < end:
            if ready():
                return
            time.sleep(POLL_S)
        what = f"was not ready within {timeout_s:g} s" if self.alive() else "ended while starting"
        self.kill()
        raise EmbeddedError(f"{self.name} {what}; its log, {self.log}, ends with:\n{last_lines(self.log)}")

    def stop(self, how: signal.Signals = signal.SIGTERM, *, timeout_s: float) -> None:
        """Signal it and wait; after timeout_s kill it. Does nothing if it does not run."""
        if self._process is not None and self.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.send_signal(how)
            self._await_end(timeout_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it, and wait until it has ended. Does nothing if it does not run."""
        if self._process is not None and self.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.kill()
            self._await_end(KILL_WAIT_S)
        self._pid_file.unlink(missing_ok=True)

    def _await_end(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while self.alive() and time.monotonic() < end:
            time.sleep(POLL_S)

    def _record(self) -> None:
        process = self._process
        assert process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            record = {
                "pid": process.pid,
                "created_s": process.create_time(),
                "pid_file": str(self._pid_file.resolve()),
            }
            write_whole(self._pid_file, json.dumps(record))


def _running(argv: Sequence[str]) -> psutil.Process | None:
    """Find a process with exactly this command line: a parent may have died before it wrote the pid file."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == list(argv) and not has_ended(process):
                return process
    return None

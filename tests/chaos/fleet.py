"""The product's processes by name, started again when they end, as Kubernetes would, and a record of every end.

The harness kills, freezes and restarts on purpose; whatever else ends, ended by itself.
"""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import psutil

from deploy.embedded.files import write_whole
from tests.chaos.clock import unix_s
from tests.processes import Process

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "consume-1": ("consume", "all"),
    "consume-2": ("consume", "all"),
    "relay-1": ("relay",),
    "relay-2": ("relay",),
    "sweep-1": ("sweep",),
    "sweep-2": ("sweep",),
}
SANDBOX: Final = "sandbox"
INVENTORY: Final = "inventory"
SERVERS: Final = frozenset({SANDBOX, INVENTORY})
"""What stands for others: it says an address when it is ready, and runs on when the pipeline is stopped."""
NOT_REACHED: Final = 3
"""The exit code of what could not start, for a service that it needs was not there."""
LOOK_S: Final = 0.1
BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0)
"""Before what ended by itself is started again; Kubernetes begins with ten seconds."""
READY_S: Final = 90.0
LASTED_S: Final = 60.0
"""What ran for so long is well: its next end is answered at once."""
DRAIN_S: Final = 60.0
RUNNING: Final = '"running"'
READY: Final = "ready on"


class How(StrEnum):
    """Who wanted an end."""

    KILLED = "killed"
    DRAINED = "drained"
    BY_ITSELF = "by itself"
    DID_NOT_DRAIN = "did not drain"
    """It was told to, and was killed when its time was over."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended. ran: it had said that it runs. log: where its last words are."""

    name: str
    code: int
    at: float
    how: How
    ran: bool
    log: Path


@dataclass(slots=True)
class _Member:
    name: str
    arguments: tuple[str, ...]
    process: Process | None = None
    wanted: bool = False
    started_at: float = 0.0
    ran: bool = False
    failures: int = 0
    log: Path = Path()


class Fleet:
    """folder: each process has its own folder there, with a log a start. guarded: where a guard looks for pid files.

    inventory: the command of the inventory's stand-in, if the stock is elsewhere.
    """

    def __init__(self, folder: Path, guarded: Path, settings: dict[str, str], inventory: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._guarded = guarded
        self.settings = settings
        self.ends: list[End] = []
        self._lock = threading.RLock()
        self._members = {name: _Member(name, arguments) for name, arguments in ROLES.items()}
        self._members[SANDBOX] = _Member(SANDBOX, (SANDBOX,))
        if inventory:
            self._members[INVENTORY] = _Member(INVENTORY, inventory)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet", daemon=True)

    def start(self, *names: str) -> None:
        """Start these, all at once, and wait until each runs; one that ends before is started again meanwhile."""
        with self._lock:
            for name in names:
                self._members[name].wanted = True
                self._spawn(self._members[name])
        if self._thread.ident is None:
            self._thread.start()
        for name in names:
            self.await_running(name)

    def await_running(self, name: str, timeout_s: float = READY_S) -> bool:
        """Wait until it says that it runs; tell whether it did in time."""
        end = unix_s() + timeout_s
        while unix_s() < end and not self._stop.is_set():
            if self.runs(name):
                return True
            self._stop.wait(LOOK_S)
        return False

    def runs(self, name: str) -> bool:
        """Whether it is there and has said that it runs."""
        with self._lock:
            return self._has_said(self._members[name])

    def kill(self, name: str) -> None:
        """SIGKILL, frozen or not. It stays away until start()."""
        self._take_down(name, _kill)

    def drain(self, name: str) -> None:
        """SIGTERM, as a deployment does, and wait. It stays away until start()."""
        self._take_down(name, _drain)

    def freeze(self, name: str) -> bool:
        """SIGSTOP; tell whether there was something to stop."""
        return self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> bool:
        """SIGCONT."""
        return self._signal(name, signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM all roles at once and wait for their ends. The sandbox runs on."""
        with self._lock:
            running = []
            for name in ROLES:
                member = self._members[name]
                member.wanted = False
                if member.process is not None and member.process.code is None:
                    running.append((member, member.process))
                    self.thaw(name)
                    self._has_said(member)
                    member.process.signal(signal.SIGTERM)
        for member, process in running:
            how = _await_end(process)
            with self._lock:
                self._note_end(member, process.code or 0, how)

    def close(self) -> None:
        """Kill everything that is left. May be repeated."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        for member in self._members.values():
            if member.process is not None:
                member.process.kill()

    def log_lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Go through what all processes ever logged: (name, line)."""
        for name in ROLES:
            for path in sorted((self._folder / name).glob("*.err"), key=lambda path: int(path.stem.rpartition("-")[2])):
                for line in path.read_text("utf-8", "replace").splitlines():
                    try:
                        said = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(said, dict):
                        yield name, said

    def _take_down(self, name: str, end: Callable[[Process], How]) -> None:
        with self._lock:
            member = self._members[name]
            member.wanted = False
            process = member.process
            self._has_said(member)
        if process is None:
            return
        how = How.BY_ITSELF if process.code is not None else end(process)
        with self._lock:
            if process.code is not None and member.process is process:
                self._note_end(member, process.code, how)

    def _signal(self, name: str, number: signal.Signals) -> bool:
        with self._lock:
            process = self._members[name].process
            if process is None or process.code is not None:
                return False
            process.signal(number)
            return True

    def _spawn(self, member: _Member) -> None:
        directory = self._folder / member.name
        directory.mkdir(exist_ok=True)
        process = Process(directory, member.arguments, self.settings)
        member.process, member.ran, member.started_at = process, False, unix_s()
        member.log = max(directory.glob("*.err"), key=lambda path: int(path.stem.rpartition("-")[2]))
        # So that whoever clears up after a harness that was killed finds it.
        pid_file = self._guarded / f"{member.name}.pid"
        record = {"pid": process.pid, "pid_file": str(pid_file.resolve())}
        try:
            record["created_s"] = psutil.Process(process.pid).create_time()
        except psutil.Error:
            return
        write_whole(pid_file, json.dumps(record))

    def _has_said(self, member: _Member) -> bool:
        process = member.process
        if process is None or process.code is not None:
            return False
        if not member.ran:
            member.ran = READY in process.out if member.name in SERVERS else RUNNING in process.log
        return member.ran

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            with self._lock:
                for member in self._members.values():
                    self._look_after(member)

    def _look_after(self, member: _Member) -> None:
        if not member.wanted:
            return
        if member.process is not None:
            code = member.process.code
            self._has_said(member)
            if code is None:
                return
            member.ran = member.ran or RUNNING in member.process.log
            self._note_end(member, code, How.BY_ITSELF)
        pause_s = BACKOFF_S[min(member.failures, len(BACKOFF_S)) - 1]
        if unix_s() - member.started_at > pause_s:
            self._spawn(member)

    def _note_end(self, member: _Member, code: int, how: How) -> None:
        lasted = unix_s() - member.started_at > LASTED_S
        member.failures = 0 if how is not How.BY_ITSELF else 1 if lasted else member.failures + 1
        self.ends.append(End(member.name, code, unix_s(), how, member.ran, member.log))
        member.process = None


def _kill(process: Process) -> How:
    process.kill()
    return How.KILLED


def _drain(process: Process) -> How:
    process.signal(signal.SIGTERM)
    return _await_end(process)


def _await_end(process: Process) -> How:
    try:
        process.wait(DRAIN_S)
    except AssertionError:
        process.kill()
        return How.DID_NOT_DRAIN
    return How.DRAINED

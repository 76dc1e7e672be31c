"""The processes of the pipeline by name, each exporting its metrics at an address of its own.

Prometheus finds them in a file, as it finds pods: who was killed or is frozen is still in it, who was taken away is
not.
"""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.embedded.files import write_whole
from deploy.embedded.ports import free_port
from tests.processes import Process

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "consume-1": ("consume", "all"),
    "consume-2": ("consume", "all"),
    "relay-1": ("relay",),
    "relay-2": ("relay",),
    "sweep-1": ("sweep",),
    "sweep-2": ("sweep",),
    "webhooks": ("webhooks",),
}
ALL_IN_ONE: Final = "up"
CONSUMERS: Final = ("consume-1", "consume-2")
RELAYS: Final = ("relay-1", "relay-2")
SWEEPS: Final = ("sweep-1", "sweep-2")
RUNS_S: Final = 600.0
"""Seven processes start at once, on a machine that may be busy."""
ENDS_S: Final = 120.0
_RUNNING: Final = '"running"'


class Crew:
    """folder: of logs, and of the file of targets. settings: of all processes."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.targets = folder / "targets.json"
        self._folder = folder
        self.settings = dict(settings)
        names = (*ROLES, ALL_IN_ONE)
        ports: dict[str, int] = {}
        for name in names:
            ports[name] = free_port(frozenset(ports.values()))
        self._addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self._processes: dict[str, Process] = {}
        self._wanted: list[str] = []
        self._tell()

    def address(self, name: str) -> str:
        """Return where a process exports its metrics: its label `instance`."""
        return self._addresses[name]

    def log(self, name: str) -> str:
        """Return what the last process of this name has logged."""
        return self._processes[name].log

    def start(self, *names: str, more: Mapping[str, str] | None = None) -> None:
        """Start those of these that do not run, and wait until all run. more: settings in place of the crew's."""
        for name in names:
            if not self.runs(name):
                folder = self._folder / name
                folder.mkdir(exist_ok=True)
                listen = {"PAYMENTS_METRICS_LISTEN": self._addresses[name]}
                arguments = ROLES.get(name, (name,))
                self._processes[name] = Process(folder, arguments, {**self.settings, **listen, **(more or {})})
            if name not in self._wanted:
                self._wanted.append(name)
        self._tell()
        for name in names:
            self._processes[name].await_line(_RUNNING, RUNS_S)

    def runs(self, name: str) -> bool:
        """Whether it is there, frozen or not."""
        return name in self._processes and self._processes[name].code is None

    def kill(self, *names: str) -> None:
        """SIGKILL. Prometheus goes on to look for them."""
        for name in names:
            self._processes[name].kill()

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """SIGSTOP them meanwhile."""
        for name in names:
            self._processes[name].signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for name in names:
                if self.runs(name):
                    self._processes[name].signal(signal.SIGCONT)

    def take_away(self, *names: str) -> None:
        """SIGTERM, as a deployment does that has no more use for them; Prometheus does not look for them any more."""
        for name in names:
            if self.runs(name):
                self._processes[name].signal(signal.SIGTERM)
        for name in names:
            if name in self._wanted:
                self._wanted.remove(name)
            if name in self._processes:
                self._processes[name].wait(ENDS_S)
        self._tell()

    def restore(self) -> None:
        """Start whatever should run and does not, as Kubernetes would."""
        self.start(*self._wanted)

    def close(self) -> None:
        """Kill all. May be repeated."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT) if process.code is None else None
            process.end()

    def _tell(self) -> None:
        targets = [{"targets": [self._addresses[name]], "labels": {"process": name}} for name in self._wanted]
        write_whole(self.targets, json.dumps(targets))

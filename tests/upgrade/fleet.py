"""Processes of two releases side by side, replaced one after the other as a rolling update does it."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.deploy.commands import Ran
from tests.e2e.deployment import STOP_S, Deployment
from tests.eventually import eventually
from tests.processes import COMMAND, started_as

READY_S: Final = 180.0
"""On a machine that does much else, too."""
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "relay": ("relay",),
    "sweep": ("sweep",),
    "consume-a": ("consume", "all"),
    "consume-b": ("consume", "all"),
}


@dataclass(frozen=True, slots=True)
class Release:
    """How its command is run. path: where Python looks for its packages first; empty: where the command does.

    prefix: arguments before those of `payments`.
    """

    name: str
    command: Path = COMMAND
    path: str = ""
    prefix: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": self.path} if self.path else {}


@dataclass
class Fleet:
    """Each role of ROLES once, in some release. of: which one it has now. probed: these releases answer probes."""

    shop: Deployment
    probed: bool = True
    of: dict[str, Release] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def start(self, release: Release) -> None:
        """Start every role, and wait until all are ready."""
        for role in ROLES:
            self._begin(role, release)
        for role in ROLES:
            self._await_ready(role)

    def roll(self, release: Release, *roles: str) -> None:
        """Replace one process after the other, all unless some are named."""
        for role in roles or ROLES:
            self.replace(role, release)

    def replace(self, role: str, release: Release) -> None:
        """Replace one process: the new one is ready before the old one is told to end."""
        old = self.shop.processes.pop(role)
        assert old.code is None, f"{role} of {self.of[role].name} ended by itself with {old.code}:\n{old.log}"
        self._begin(role, release)
        self._await_ready(role)
        code = old.stop(STOP_S)
        assert code == 0, f"{role} ended with {code}:\n{old.log}"

    def run(self, release: Release, *arguments: str) -> Ran:
        """Run a command of a release to its end."""
        with started_as(
            release.command,
            self.shop.directory,
            *release.prefix,
            *arguments,
            **self.shop.settings,
            **release.environment,
        ) as process:
            code = process.wait(READY_S)
            return Ran(code, process.out, process.log)

    def _begin(self, role: str, release: Release) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._ports[role] = free.getsockname()[1]
        process = self.shop.stack.enter_context(
            started_as(
                release.command,
                self.shop.directory,
                *release.prefix,
                *ROLES[role],
                **self.shop.settings,
                **release.environment,
                **({"PAYMENTS_HEALTH_LISTEN": f"127.0.0.1:{self._ports[role]}"} if self.probed else {}),
            )
        )
        self.shop.processes[role] = process
        self.of[role] = release

    def _await_ready(self, role: str) -> None:
        process = self.shop.processes[role]
        if not self.probed:
            process.await_line('"running"', READY_S)
            return

        def ready() -> bool:
            assert process.code is None, f"{role} of {self.of[role].name} ended with {process.code}:\n{process.log}"
            try:
                answer = httpx.get(f"http://127.0.0.1:{self._ports[role]}/ready", trust_env=False, timeout=5)
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        eventually(ready, lambda: f"{role} is ready; its log:\n{process.log}", READY_S)

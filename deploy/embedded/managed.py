"""What a supervisor asks of a server, and any program with an HTTP health address as one."""

import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import HOST, require_free
from deploy.embedded.process import Command, ServerProcess

READY_S = 30.0
ADOPT_S = 5.0
STOP_S = 10.0
PROBE_S = 2.0


class Managed(Protocol):
    """A server that can be started, watched and stopped. start() adopts a leftover; both may be repeated."""

    @property
    def name(self) -> str:
        """Its key in state.json."""

    @property
    def version(self) -> str:
        """Its version, known once it runs."""

    @property
    def pid(self) -> int | None:
        """Its pid, or None while it does not run."""

    @property
    def address(self) -> str:
        """Where it listens, as host:port or a URL."""

    def start(self) -> None:
        """Have it run and answer. Raises EmbeddedError if it cannot; nothing is left running then."""

    def stop(self, *, immediate: bool = False) -> None:
        """End it in order, or at once; then it is gone."""

    def alive(self) -> bool:
        """Tell whether its process runs."""


class ManagedProcess:
    """A program that answers 2xx at health_url once it is ready, on a loopback port that it is told in argv.

    Its pid file lies beside its log: `<name>.pid`. A leftover that does not answer within adopt_timeout_s is stopped.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        health_url: str,
        port: int,
        log: Path,
        version: str = "",
        adopt_timeout_s: float = ADOPT_S,
        progress: Callable[[str], None],
    ) -> None:
        self.name = name
        self.version = version
        self.port = port
        self._argv = tuple(argv)
        self._health_url = health_url
        self._adopt_timeout_s = adopt_timeout_s
        self._progress = progress
        self._directory = log.parent
        self._process = ServerProcess(name, pid_file=log.parent / f"{name}.pid", log=log)

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its pid, or None while it does not run."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.alive()

    def answers(self) -> bool:
        """Tell whether its health address answers 2xx within PROBE_S."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._health_url, timeout=PROBE_S) as answer:
                return 200 <= int(answer.status) < 300
        except (OSError, ValueError):
            return False

    def start(self) -> None:
        """Have it run and answer: adopts a leftover that answers, stops one that does not, else starts it anew.

        Raises EmbeddedError if it cannot; nothing is left running then.
        """
        if self.alive() and self.answers():
            return
        command = Command(argv=self._argv, cwd=Path.cwd())
        if self._process.adopt(command):
            try:
                self._process.wait_until(self.answers, self._adopt_timeout_s)
            except EmbeddedError:
                self._progress(f"a {self.name} that was left behind did not answer and was stopped")
            else:
                self._progress(f"adopted the {self.name} that was left running (pid {self.pid})")
                return
        require_free(self.port, self.name, self._directory)
        self._process.spawn(command)
        self._process.wait_until(self.answers, READY_S)

    def stop(self, *, immediate: bool = False) -> None:
        """End it by SIGTERM, or at once by SIGKILL; then it is gone."""
        if immediate:
            self._process.kill()
        else:
            self._process.stop(timeout_s=STOP_S)

    def kill(self) -> None:
        """SIGKILL it."""
        self._process.kill()

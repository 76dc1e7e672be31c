"""What a supervisor needs of a server; what all servers share; a server for any program with an HTTP health address."""

import signal
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import HOST, require_free
from deploy.embedded.process import Command, ServerProcess

PROBE_S = 2.0


class Managed(Protocol):
    """A server that can be started, watched and stopped. start() adopts one that runs; both may be repeated."""

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
        """Start it and wait until it answers. Raises EmbeddedError if it cannot; no process is left then."""

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it in order, or kill it; wait until it has ended."""

    def alive(self) -> bool:
        """Return whether its process runs."""


class Server(ABC):
    """One server process on a loopback port: adopted or started, then watched and stopped.

    Its log and pid file lie in folder: `<name>.log`, `<name>.pid`. One that a dead parent left
    running is adopted, or stopped if it does not answer within ADOPT_S. Subclasses define how to start and to probe it.
    """

    READY_S = 30.0
    ADOPT_S = 5.0
    STOP_S = 10.0
    HOW = signal.SIGTERM

    def __init__(
        self, name: str, folder: Path, *, port: int, title: str = "", version: str = "", progress: Callable[[str], None]
    ) -> None:
        self.name = name
        self.version = version
        self.port = port
        self._title = title or name
        self._folder = folder
        self._progress = progress
        self._process = ServerProcess(name, pid_file=folder / f"{name}.pid", log=folder / f"{name}.log")

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its pid, or None while it does not run."""
        return self._process.pid

    def alive(self) -> bool:
        """Return whether its process runs."""
        return self._process.alive()

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it answers."""

    def start(self) -> None:
        """Start it and wait until it answers. One that still runs is adopted if it answers, else restarted.

        Raises EmbeddedError if it cannot start; no process is left then.
        """
        if self.alive() and self.answers():
            return
        command = self._command()
        if not self._try_adopt(command):
            require_free(self.port, self._title, self._folder)
            self._launch(command)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it in order, or kill it; wait until it has ended. Its data stays."""
        if immediate:
            self.kill()
        else:
            self._process.stop(self.HOW, timeout_s=self.STOP_S)

    def kill(self) -> None:
        """SIGKILL it. The page cache stays, and with it everything that it has written."""
        self._process.kill()

    @abstractmethod
    def _command(self) -> Command:
        """Prepare what it needs, and return the command that starts it."""

    def _launch(self, command: Command) -> None:
        """Start a new process, and wait until it answers."""
        self._process.spawn(command)
        self._process.wait_until(self.answers, self.READY_S)

    def _try_adopt(self, command: Command) -> bool:
        if not self._process.adopt(command):
            return False
        try:
            self._process.wait_until(self.answers, self.ADOPT_S)
        except EmbeddedError:
            self._progress(f"a {self._title} that was left behind did not answer and was stopped")
            return False
        self._progress(f"adopted the {self._title} that was left running (pid {self.pid})")
        return True


class ManagedProcess(Server):
    """A program that answers 2xx at health_url once it is ready, on a loopback port that argv names."""

    def __init__(self, name: str, folder: Path, argv: Sequence[str], *, health_url: str, **more: Any) -> None:
        super().__init__(name, folder, **more)
        self._argv = tuple(argv)
        self._health_url = health_url

    def answers(self) -> bool:
        """Return whether its health address answers 2xx within PROBE_S."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._health_url, timeout=PROBE_S) as answer:
                return 200 <= int(answer.status) < 300
        except (OSError, ValueError):
            return False

    def _command(self) -> Command:
        return Command(argv=self._argv, cwd=Path.cwd())

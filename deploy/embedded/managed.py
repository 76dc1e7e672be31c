"""What a supervisor asks of a server, what all servers have in common, and any program with an HTTP health address."""

import signal
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import HOST, require_free
from deploy.embedded.process import Command, ServerProcess

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


class Server:
    """One server process on a loopback port: adopted or started, then watched and stopped.

    Its log and pid file lie in folder: `<name>.log`, `<name>.pid`. A leftover that does not answer within ADOPT_S is
    stopped. Whoever derives from it says how to start it, and what an answer is.
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
        """Tell whether its process runs."""
        return self._process.alive()

    def answers(self) -> bool:
        """Tell whether it answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Have it run and answer: adopts a leftover that answers, stops one that does not, else starts it anew.

        Raises EmbeddedError if it cannot; nothing is left running then.
        """
        if self.alive() and self.answers():
            return
        command = self._command()
        if not self._adopted(command):
            require_free(self.port, self._title, self._folder)
            self._launch(command)

    def stop(self, *, immediate: bool = False) -> None:
        """End it in order, or at once; then it is gone. Its data stays."""
        if immediate:
            self.kill()
        else:
            self._process.stop(self.HOW, timeout_s=self.STOP_S)

    def kill(self) -> None:
        """SIGKILL it, as a power cut to the process would; the page cache, and so all it has written, stays."""
        self._process.kill()

    def _command(self) -> Command:
        """Return what runs it, with all in place that it needs."""
        raise NotImplementedError

    def _launch(self, command: Command) -> None:
        """Start it anew, and wait until it answers."""
        self._process.spawn(command)
        self._process.wait_until(self.answers, self.READY_S)

    def _adopted(self, command: Command) -> bool:
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
    """A program that answers 2xx at health_url once it is ready, on a loopback port that it is told in argv."""

    def __init__(self, name: str, folder: Path, argv: Sequence[str], *, health_url: str, **more: Any) -> None:
        super().__init__(name, folder, **more)
        self._argv = tuple(argv)
        self._health_url = health_url

    def answers(self) -> bool:
        """Tell whether its health address answers 2xx within PROBE_S."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._health_url, timeout=PROBE_S) as answer:
                return 200 <= int(answer.status) < 300
        except (OSError, ValueError):
            return False

    def _command(self) -> Command:
        return Command(argv=self._argv, cwd=Path.cwd())

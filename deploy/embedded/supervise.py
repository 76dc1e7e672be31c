"""The body of `payments embedded`: have the servers run, say where they are, restart what dies, until told to stop."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import write_pair
from deploy.embedded.managed import Managed
from deploy.embedded.servers import EmbeddedServers, start_all, stop_all

WATCH_S = 0.25
PAUSE_MIN_S = 0.25
PAUSE_MAX_S = 30.0
# A server that has run for this long is well again: its next death is answered at once.
WELL_S = 60.0


class Supervisor:
    """Runs the servers of a data directory and any others given, and keeps `env` and `state.json` there true.

    Both files are there only once everything has been started and prepared, `state.json` last: whoever waits for it may
    connect. prepare is given the lines of `env` and does what has to be there by then, such as the schema.
    """

    def __init__(
        self,
        servers: EmbeddedServers,
        *,
        extra: Sequence[Managed] = (),
        settings: Mapping[str, str] | None = None,
        prepare: Callable[[Mapping[str, str]], None] = lambda _: None,
        progress: Callable[[str], None],
    ) -> None:
        self.servers = servers
        self._all: tuple[Managed, ...] = (*servers.managed, *extra)
        self._extra = tuple(extra)
        self._settings = dict(settings or {})
        self._prepare = prepare
        self._progress = progress
        self._pauses_s = {server.name: PAUSE_MIN_S for server in self._all}
        self._started_at_s = {server.name: 0.0 for server in self._all}
        self._retry_at_s: dict[str, float] = {}

    @property
    def env(self) -> dict[str, str]:
        """The settings with which the other commands find these servers; the database URL holds its password."""
        return {
            "PAYMENTS_DATABASE_URL": self.servers.database_url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": self.servers.kafka_bootstrap,
            "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
            **self._settings,
        }

    def state(self) -> dict[str, dict[str, int | str | None]]:
        """Say for each server, by name, its pid (None while it is down), address and version."""
        return {s.name: {"pid": s.pid, "address": s.address, "version": s.version} for s in self._all}

    def start(self) -> None:
        """Have all run, adopting what a SIGKILL left. Raises EmbeddedError if one cannot; then none is left running."""
        self.servers.own()
        self._hide()
        self.servers.start()
        try:
            if self._extra:
                start_all(self._extra)
            self._prepare(self.env)
        except BaseException:
            self.stop()
            raise
        now_s = time.monotonic()
        self._started_at_s = {server.name: now_s for server in self._all}
        self._show()

    def watch(self, stop: threading.Event) -> None:
        """Restart whatever dies until stop is set. At most one try per server at a time, ever rarer while it fails."""
        while not stop.wait(WATCH_S):
            for server in self._all:
                if not stop.is_set() and not server.alive():
                    self._revive(server)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop all, in order or at once, and take `env` and `state.json` away; data and ports stay. May be repeated."""
        self._hide()
        try:
            if self._extra:
                stop_all(self._extra, immediate=immediate)
        finally:
            self.servers.stop(immediate=immediate)

    def _revive(self, server: Managed) -> None:
        now_s = time.monotonic()
        if server.name not in self._retry_at_s:
            if now_s - self._started_at_s[server.name] > WELL_S:
                self._pauses_s[server.name] = PAUSE_MIN_S
            self._progress(f"{server.name} died; starting it again in {self._pauses_s[server.name]:g} s")
            self._retry_at_s[server.name] = now_s + self._pauses_s[server.name]
            self._show()
        if now_s < self._retry_at_s[server.name]:
            return
        del self._retry_at_s[server.name]
        self._pauses_s[server.name] = min(2 * self._pauses_s[server.name], PAUSE_MAX_S)
        try:
            server.start()
        except (EmbeddedError, OSError) as error:
            self._progress(f"{server.name} cannot be started again: {error}")
        else:
            self._progress(f"{server.name} runs again (pid {server.pid})")
        self._started_at_s[server.name] = time.monotonic()
        self._show()

    def _show(self) -> None:
        directory = self.servers.data_dir
        env = "".join(f"{name}={value}\n" for name, value in self.env.items())
        state = json.dumps(self.state(), indent=1) + "\n"
        write_pair(directory / "env", env, directory / "state.json", state, second_mode=0o644)

    def _hide(self) -> None:
        for name in ("state.json", "env"):
            (self.servers.data_dir / name).unlink(missing_ok=True)


def run_embedded(
    data: Path,
    *,
    stop: threading.Event,
    progress: Callable[[str], None],
    extra: Sequence[Managed] = (),
    settings: Mapping[str, str] | None = None,
    fast: bool = False,
) -> None:
    """Run Kafka, PostgreSQL and the extra servers on this data directory until stop is set, then stop them all.

    settings are lines of `env` beside those of the two servers. Raises DirectoryInUse if another run has the
    directory, EmbeddedError if a server cannot be started; nothing is left running then.
    """
    supervisor = Supervisor(
        EmbeddedServers(data, progress=progress, fast=fast),
        extra=extra,
        settings=settings,
        progress=progress,
    )
    supervisor.start()
    try:
        supervisor.watch(stop)
    finally:
        supervisor.stop()


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set stop on SIGTERM and SIGINT while inside; main thread only. The handlers of before come back after.

    A second Ctrl-C raises KeyboardInterrupt: it ends even a slow download, and servers are stopped all the same.
    """

    def tell(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

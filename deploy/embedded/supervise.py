"""Starts servers so that an interruption leaves none behind, restarts what dies, and writes down where they are."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Final, Self

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import write_pair
from deploy.embedded.managed import Managed
from deploy.embedded.servers import EmbeddedServers, start_all, stop_all

WATCH_S = 0.25
PAUSE_MIN_S = 0.25
PAUSE_MAX_S = 30.0
# After running for so long a server counts as well: after its next death it is restarted without a longer pause.
WELL_S = 60.0

WAIT_S: Final = 0.1
GIVE_UP_S: Final = 10.0
INTERRUPTED: Final = 130


class Worker:
    """A thread. Waiting for its end can be interrupted.

    join() is no use for that: after an interruption Python 3.11 takes the thread for ended (bpo-45274).
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self.failure: BaseException | None = None
        self._work = work
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def ended(self, wait_s: float = WAIT_S) -> bool:
        """Wait a moment, and tell whether it has ended."""
        return self._ended.wait(wait_s)

    def end(self, servers: Sequence[Managed]) -> bool:
        """Wait until it has ended, and kill any of these servers that it starts meanwhile; False after GIVE_UP_S."""
        give_up_at = time.monotonic() + GIVE_UP_S
        while not self.ended():
            if time.monotonic() > give_up_at:
                return False
            stop_all(servers, immediate=True)
        return True

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            self.failure = error
        finally:
            self._ended.set()


def start_or_give_up(start: Callable[[], object], servers: Sequence[Managed]) -> None:
    """Call start, and raise what it raises. If interrupted, kill what was started, then raise KeyboardInterrupt.

    start runs in a thread: an interruption in the middle of it could leave a new process without a pid file. A download
    cannot be stopped: then this process ends at once, and the guard process clears up.
    """
    worker = Worker(start)
    try:
        while not worker.ended():
            pass
    except KeyboardInterrupt:
        if not worker.end(servers):
            sys.stderr.write("\npayments: interrupted\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
    if worker.failure is not None:
        raise worker.failure


class Supervisor:
    """Restarts servers that have died. The pause grows from try to try.

    changed: called when a server was found dead, and after each try to start it.
    """

    def __init__(
        self, servers: Sequence[Managed], progress: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._servers = tuple(servers)
        self._progress = progress
        self._changed = changed
        self._pauses_s = {server.name: PAUSE_MIN_S for server in servers}
        self._started_at_s = {server.name: time.monotonic() for server in servers}
        self._retry_at_s: dict[str, float] = {}
        self._starting: list[Managed] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in the background while inside. On leaving, a server that is just being restarted is killed."""
        stop = threading.Event()
        worker = Worker(partial(self.watch, stop))
        try:
            yield
        finally:
            stop.set()
            worker.end(self._starting)
        if worker.failure is not None:
            raise worker.failure

    def watch(self, stop: threading.Event) -> None:
        """Restart whatever dies until stop is set. At most one try per server at a time."""
        while not stop.wait(WATCH_S):
            for server in self._servers:
                if not stop.is_set() and not server.alive():
                    self._revive(server)

    def _revive(self, server: Managed) -> None:
        now_s = time.monotonic()
        if server.name not in self._retry_at_s:
            if now_s - self._started_at_s[server.name] > WELL_S:
                self._pauses_s[server.name] = PAUSE_MIN_S
            self._progress(f"{server.name} died; starting it again in {self._pauses_s[server.name]:g} s")
            self._retry_at_s[server.name] = now_s + self._pauses_s[server.name]
            self._changed()
        if now_s < self._retry_at_s[server.name]:
            return
        del self._retry_at_s[server.name]
        self._pauses_s[server.name] = min(2 * self._pauses_s[server.name], PAUSE_MAX_S)
        self._starting.append(server)
        try:
            server.start()
        except (EmbeddedError, OSError) as error:
            self._progress(f"{server.name} cannot be started again: {error}")
        else:
            self._progress(f"{server.name} had died and runs again (pid {server.pid})")
        self._starting.clear()
        self._started_at_s[server.name] = time.monotonic()
        self._changed()


class EmbeddedRun:
    """Runs the servers of a data directory, and others, while inside; `env` and `state.json` say where they are.

    The files are written when everything was started and prepared, `state.json` last: whoever sees it may connect.
    prepare: given the lines of `env`; makes what must be there by then, such as the schema.
    Entering raises DirectoryInUse if another run has the directory, EmbeddedError if a server cannot be started;
    no server is left running then.
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
        self._leaving = ExitStack()

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
        """Return the pid (None while it is down), address and version of each server, by name."""
        return {s.name: {"pid": s.pid, "address": s.address, "version": s.version} for s in self._all}

    def stop(self, *, immediate: bool = False) -> None:
        """Stop all, in order or at once, and delete `env` and `state.json`; data and ports stay. May be repeated."""
        self._hide()
        try:
            if self._extra:
                stop_all(self._extra, immediate=immediate)
        finally:
            self.servers.stop(immediate=immediate)

    def __enter__(self) -> Self:
        self.servers.own()
        self._hide()
        self.servers.start()
        with ExitStack() as undo:
            undo.callback(self.stop)
            if self._extra:
                start_all(self._extra)
            self._prepare(self.env)
            supervisor = Supervisor(self._all, self._progress, self._show)
            self._show()
            undo.callback(self._progress, "stopping the servers")
            undo.enter_context(supervisor.watching())
            self._leaving = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.close()

    def _show(self) -> None:
        directory = self.servers.data_dir
        env = "".join(f"{name}={value}\n" for name, value in self.env.items())
        state = json.dumps(self.state(), indent=1) + "\n"
        write_pair(directory / "env", env, directory / "state.json", state, second_mode=0o644)

    def _hide(self) -> None:
        for name in ("state.json", "env"):
            (self.servers.data_dir / name).unlink(missing_ok=True)

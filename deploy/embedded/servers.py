"""Kafka and PostgreSQL of one data directory, started side by side."""

import atexit
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.embedded.errors import DirectoryInUse
from deploy.embedded.files import try_lock
from deploy.embedded.kafka import KafkaServer
from deploy.embedded.managed import Managed
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.programs import OURS, Programs


def start_all(servers: Iterable[Managed]) -> None:
    """Start them side by side; if one cannot be started, stop them all and raise its error."""
    servers = tuple(servers)
    pool = ThreadPoolExecutor(len(servers))
    try:
        for start in [pool.submit(server.start) for server in servers]:
            start.result()
    except BaseException:
        # Also after Ctrl-C no server may be left: wait for those that are still starting, then stop all.
        pool.shutdown(cancel_futures=True)
        stop_all(servers)
        raise
    pool.shutdown()


def stop_all(servers: Iterable[Managed], *, immediate: bool = False) -> None:
    """Stop all, one after the other; raise an error at the end.

    It starts no thread, because it also runs while the interpreter shuts down.
    """
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop, immediate=immediate)


class EmbeddedServers:
    """A real Kafka and a real PostgreSQL on 127.0.0.1 that keep ports and data in data_dir; one owner at a time.

    stop(), leaving the context, and a normal exit of this process stop them. After a SIGKILL they keep running, and the
    next start() on the same directory adopts them. fast: starts faster with less memory and throughput (no C2 compiler,
    a heap of 512 MB in place of 1 GB, half a GB of WAL in place of 4); durability is the same.
    programs: other versions than those of the packages.
    """

    def __init__(
        self, data_dir: Path, *, progress: Callable[[str], None], fast: bool = False, programs: Programs = OURS
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._progress = progress
        self._fast = fast
        self._lock: int | None = None
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.kafka = KafkaServer(self.data_dir, progress=progress, fast=fast, programs=programs)
        self.postgres = PostgresServer(self.data_dir, progress=progress, fast=fast, programs=programs)

    @property
    def kafka_bootstrap(self) -> str:
        """The bootstrap server, as host:port."""
        return self.kafka.address

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database `payments`; it holds the password."""
        return self.postgres.url

    @property
    def managed(self) -> tuple[Managed, ...]:
        """The servers, for a supervisor."""
        return (self.kafka, self.postgres)

    def own(self) -> None:
        """Become the owner of the directory. Raises DirectoryInUse if another process or object owns it."""
        if self._lock is not None:
            return
        self._lock = try_lock(self.data_dir / "lock")
        if self._lock is None:
            holder = (self.data_dir / "lock").read_text(encoding="ascii").strip()
            raise DirectoryInUse(
                f"{self.data_dir} is in use by the embedded run with pid {holder}: use that one, stop it, "
                "or name another directory with --data",
            )

    def start(self) -> Self:
        """Start both and wait until they answer. If one cannot start, stop the other and raise EmbeddedError."""
        self.own()
        atexit.register(self.stop)
        try:
            start_all(self.managed)
        except BaseException:
            self._disown()
            raise
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """Stop both, in order or at once, and give up the directory. Data and ports stay. May be repeated."""
        if self._lock is None:
            return
        try:
            stop_all(self.managed, immediate=immediate)
        finally:
            self._disown()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _disown(self) -> None:
        atexit.unregister(self.stop)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

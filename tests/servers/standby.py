"""A second PostgreSQL that follows an embedded one, as managed fail-over has it; promoted when a test says so."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from deploy.embedded import EmbeddedServers, kept_port
from deploy.embedded.cluster import ADMIN, binaries
from deploy.embedded.os_user import os_user
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command, ServerProcess
from tests.eventually import eventually

READY_S: Final = 60.0
COPY_S: Final = 120.0
SYNCHRONOUS: Final = "synchronous_standby_names"
READ_ONLY: Final = "default_transaction_read_only"


class Pair:
    """An embedded PostgreSQL and its standby. A commit waits until both have it, so that a fail-over loses nothing."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self.primary = servers.postgres
        # Beside the primary: where its OS user may go, and where the guard of that folder finds it.
        self._directory = servers.data_dir
        self._data = servers.data_dir / "standby"
        self._port = kept_port(servers.data_dir, "standby")
        pid_file, log = servers.data_dir / "standby.pid", servers.data_dir / "standby.log"
        self._process = ServerProcess("standby", pid_file=pid_file, log=log)

    def follow(self) -> None:
        """Copy the primary and follow it."""
        user = os_user()
        self._data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(self._data, user, user)
        self._copy(user)
        argv = [str(binaries() / "postgres"), "-D", str(self._data), "-c", f"port={self._port}"]
        argv += ["-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        self._process.spawn(Command(argv, self._directory, user))
        self._process.wait_until(self._answers, READY_S)
        self.set(SYNCHRONOUS, "*")
        sent = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: self.ask(self.primary.port, sent) == 1, "the primary waits for the standby")

    def set(self, name: str, value: str | None) -> None:
        """Change a setting of the primary for all that run, None: back to its default."""
        change = f"ALTER SYSTEM SET {name} = '{value}'" if value is not None else f"ALTER SYSTEM RESET {name}"
        with self._connect(self.primary.port) as admin:
            admin.execute(change.encode())
            admin.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make the standby the primary; returns once it takes writes."""
        self.ask(self._port, "SELECT pg_promote()")

    def two_hosts(self, url: str, *, standby_first: bool = False) -> str:
        """Name both servers in a URL of the primary. standby_first: as the URL is once they have changed places."""
        places = [self.primary.address, f"{HOST}:{self._port}"]
        return url.replace(self.primary.address, ",".join(reversed(places) if standby_first else places))

    def end(self) -> None:
        """Stop the standby, and have the primary as it was."""
        self._process.kill()
        shutil.rmtree(self._data)
        self.primary.start()
        for name in (SYNCHRONOUS, READ_ONLY):
            self.set(name, None)

    def ask(self, port: int, query: str) -> object:
        with self._connect(port) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def _answers(self) -> bool:
        try:
            return self.ask(self._port, "SELECT pg_is_in_recovery()") is True
        except psycopg.OperationalError:
            return False

    def _connect(self, port: int) -> psycopg.Connection[tuple[object, ...]]:
        password = self.primary._passwords[ADMIN]
        # It must be able to end what it began: a server that was made read only is made writable again.
        options = f"-c {READ_ONLY}=off"
        return psycopg.connect(
            host=HOST, port=port, user=ADMIN, password=password, dbname="postgres", autocommit=True, options=options
        )

    def _copy(self, user: str | None) -> None:
        place = f"host={HOST} port={self.primary.port} user={ADMIN}"
        argv = [
            str(binaries() / "pg_basebackup"),
            "-d",
            place,
            "-D",
            str(self._data),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]
        as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        password = {"PGPASSWORD": self.primary._passwords[ADMIN], "PATH": os.defpath}
        done = subprocess.run(  # type: ignore[call-overload]
            argv,
            capture_output=True,
            text=True,
            timeout=COPY_S,
            check=False,
            env=password,
            cwd=self._directory,
            **as_user,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def standby_of(servers: EmbeddedServers) -> Iterator[Pair]:
    """Give a pair; the standby is gone at the end, and the primary as it was before."""
    pair = Pair(servers)
    try:
        pair.follow()
        yield pair
    finally:
        pair.end()

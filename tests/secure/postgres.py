"""PostgreSQL of Debian's packages with TLS: the embedded one is built without. See `make test-secure`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from deploy.embedded.ports import HOST, free_port
from tests.eventually import eventually
from tests.secure.certificates import Authority, Issued

BINARIES = Path("/usr/lib/postgresql")
ROOT_PASSWORD, PASSWORD = "of-postgres", "pw/of@app"


def binaries() -> Path | None:
    """Return the folder of the newest one that is installed; None: there is none."""
    found = sorted(BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


needs_postgres = pytest.mark.skipif(
    binaries() is None,
    reason="PostgreSQL with TLS is not here, and the embedded one has none: apt-get install postgresql",
)


class Tls:
    """A server with a database `payments`. Whoever comes without TLS is sent away."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def root(self, *statements: LiteralString) -> None:
        """Run statements as the superuser."""
        with psycopg.connect(**_root(self.port), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def hang_up(self, user: str) -> None:
        """End the connections of a user, so that new ones are made."""
        with psycopg.connect(**_root(self.port), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [user])

    def users(self, user: str) -> int:
        """Count the connections of a user."""
        with psycopg.connect(**_root(self.port), autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [user]).fetchone()
        assert row is not None
        return int(row[0])

    def url(self, host: str = HOST, user: str = "app", password: str = "pw%2Fof%40app", **parameters: str) -> str:
        login = f"{user}:{password}@" if password else f"{user}@"
        asked = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{login}{host}:{self.port}/payments?{asked}"


@contextmanager
def postgres_with_tls(folder: Path, authority: Authority, own: Issued, *, tls: bool = True) -> Iterator[Tls]:
    """Run one while inside. tls: False makes one that speaks none."""
    bin_ = binaries()
    assert bin_ is not None
    folder.mkdir(parents=True, exist_ok=True)
    data, port = folder / "data", free_port()
    (folder / "password").write_text(ROOT_PASSWORD)
    certificate, key = own.write(folder, "server")
    ca = authority.write(folder, "clients-ca")
    as_user = _other_user(folder)
    run = [*as_user, str(bin_ / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256"]
    subprocess.run([*run, f"--pwfile={folder / 'password'}"], check=True, capture_output=True, cwd="/")
    access = f"host all postgres {HOST}/32 scram-sha-256\n"
    access += f"hostssl all byname {HOST}/32 cert\n"
    access += f"{'hostssl' if tls else 'host'} all all {HOST}/32 scram-sha-256\n"
    hba = folder / "pg_hba.conf"
    hba.write_text(access)
    hba.chmod(0o644)
    options = {
        "port": port,
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "hba_file": hba,
        "ssl": "on" if tls else "off",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
        "ssl_ca_file": ca,
        "fsync": "off",
    }
    argv = [*as_user, str(bin_ / "postgres"), "-D", str(data)]
    argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/")

    def answers() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(**_root(port), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        eventually(answers, "PostgreSQL answers")
        running = Tls(folder, port)
        running.root(
            f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'",
            "CREATE ROLE byname LOGIN",
            "CREATE DATABASE payments OWNER app",
        )
        yield running
    finally:
        server.terminate()
        server.wait(30)


def _root(port: int) -> dict[str, Any]:
    return {"host": HOST, "port": port, "user": "postgres", "password": ROOT_PASSWORD, "dbname": "postgres"}


def _other_user(folder: Path) -> list[str]:
    """Return what runs a command as the packages' user if we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    for path in folder.iterdir():
        shutil.chown(path, "postgres", "postgres")
    for parent in folder.parents:
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

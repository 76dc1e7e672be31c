"""A base backup and the WAL archive of an embedded PostgreSQL, and its restore to a point in time.

The binaries are those of the embedded server (PostgreSQL 18).
"""

import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from deploy.embedded import EmbeddedServers
from deploy.embedded.cluster import ADMIN, binaries
from deploy.embedded.os_user import os_user
from deploy.embedded.ports import HOST
from tests.eventually import eventually

COPY_S: Final = 120.0
PROMOTED_S: Final = 120.0
ARCHIVE_EVERY_S: Final = 1
"""A segment is archived so soon after it got something. In reality a minute is usual, or streaming."""


class Backup:
    """The backup of one server. `archive` first, then `copy`, then as often as it is wanted `restore`."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._postgres = servers.postgres
        self._user = os_user()
        self._data = servers.data_dir / "postgres" / "data"
        self._copy = servers.data_dir / "postgres" / "backup"
        self._archive = servers.data_dir / "postgres" / "archive"

    def archive(self) -> None:
        """Have every segment of the WAL archived. The server is started anew for it."""
        self._make(self._archive)
        there = f"{self._archive}/%f"
        command = f"test ! -f {there} && cp %p {there}.part && mv {there}.part {there}"
        self._set(archive_mode="on", archive_command=command, archive_timeout=f"{ARCHIVE_EVERY_S}s")
        self._postgres.stop()
        self._postgres.start()

    def copy(self) -> None:
        """Make the base backup."""
        self._make(self._copy)
        place = f"host={HOST} port={self._postgres.port} user={ADMIN}"
        argv = [str(binaries() / "pg_basebackup"), "-d", place, "-D", str(self._copy), "-X", "none", "-c", "fast"]
        as_user: dict[str, Any] = {}
        if self._user is not None:
            as_user = {"user": self._user, "group": self._user, "extra_groups": []}
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=COPY_S,
            check=False,
            env={"PGPASSWORD": self._postgres._passwords[ADMIN], "PATH": os.defpath},
            cwd=self._data.parent,
            **as_user,
        )
        assert done.returncode == 0, done.stderr

    def now(self) -> datetime:
        """Return the server's clock."""
        ((at,),) = self._ask("SELECT clock_timestamp()")
        assert isinstance(at, datetime)
        return at

    def lose(self) -> None:
        """Lose the server and its data, between two moments."""
        self._postgres.kill()
        shutil.rmtree(self._data)

    def restore(self, until: datetime) -> None:
        """Bring it back as it was at this moment; returns when it takes writes."""
        shutil.copytree(self._copy, self._data, symlinks=True)
        settings = (
            f"restore_command = 'cp {self._archive}/%f %p'",
            f"recovery_target_time = '{until.isoformat()}'",
            "recovery_target_action = 'promote'",
            "archive_mode = 'off'",
            # It answers when it takes writes, and not before.
            "hot_standby = 'off'",
        )
        with (self._data / "postgresql.auto.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{line}\n" for line in settings)
        (self._data / "recovery.signal").touch()
        self._give(self._data)
        self._postgres.start()
        eventually(self._is_promoted, "the restored server takes writes", PROMOTED_S)

    def _is_promoted(self) -> bool:
        try:
            return self._ask("SELECT pg_is_in_recovery()") == [(False,)]
        except psycopg.OperationalError:
            return False

    def _set(self, **settings: str) -> None:
        with self._postgres._connect(ADMIN) as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with self._postgres._connect(ADMIN) as connection:
            return connection.execute(query.encode()).fetchall()

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._give(folder)

    def _give(self, folder: Path) -> None:
        """Give a folder, and what is in it, to whom the server runs as."""
        if self._user is None:
            return
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, self._user, self._user)

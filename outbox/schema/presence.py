"""Processes say in the database that they run, and for which schema they are made: a contraction waits for older ones.

Rows, not sessions: behind a pooler an idle process has no session. A row of a process that is killed or frozen stays.
The database cannot tell these two apart, so it is a person who says that such a process is gone. A frozen one that
wakes up and finds its row gone looks whether it still may run, and ends if it may not.
"""

import asyncio
import os
import platform
import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg.rows import class_row

from domain.errors import Transient, Unfit
from outbox.driver.conninfo import connect

CONTRACTING: LiteralString = "hashtext('payments.releases')"
"""The advisory lock of a contraction. Who begins shares it: so a process either is seen, or sees the new schema."""
ANSWER_S: Final = 10.0
FORGOTTEN_AFTER_S: Final = 86_400.0
"""A process that has not been heard of for a day is gone, though nobody has said so."""
READ_ONLY: Final = (
    "the database takes no writes: it is a standby, or default_transaction_read_only is on. Let PAYMENTS_DATABASE_URL "
    "name the primary (with several hosts: target_session_attrs=read-write)"
)
ALL_OF: Final = "*"
"""In place of the rest of a name, behind host and dash: every process of that host, and of no other."""

_SHARE: LiteralString = f"SELECT pg_advisory_xact_lock_shared({CONTRACTING})"
_FORGET: LiteralString = """
    DELETE FROM process WHERE name IN (
      SELECT name FROM process WHERE until < now() - make_interval(secs => %(forgotten_s)s) FOR UPDATE SKIP LOCKED)"""
"""Past rows that somebody has locked: a process that is frozen in the midst of its word must hold up no start."""
_ANNOUNCE: LiteralString = """
    INSERT INTO process (name, release, needs, roles, until)
    SELECT %(name)s, %(release)s, %(needs)s, %(roles)s, now() + make_interval(secs => %(lease_s)s)
      FROM alembic_version v JOIN migration m ON m.revision = v.version_num
     WHERE m.oldest = ANY(%(fit)s)
        ON CONFLICT (name) DO UPDATE SET until = excluded.until"""
_BEAT: LiteralString = "UPDATE process SET until = now() + make_interval(secs => %(lease_s)s) WHERE name = %(name)s"
_LEAVE: LiteralString = "DELETE FROM process WHERE name = %(name)s"
_OTHERS: LiteralString = """
    SELECT name, release, needs, roles, extract(epoch FROM now() - until)::float8 AS silent_s
      FROM process WHERE until > now() - make_interval(secs => %s) AND needs < %s COLLATE "C"
     ORDER BY release, roles, name"""
_SESSIONS: LiteralString = """
    SELECT coalesce(nullif(application_name, ''), 'a client without a name'), pid FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
       AND (application_name LIKE 'payments%' OR application_name = '')
     ORDER BY pid"""
"""Sessions of 0.1.0 have no name."""


class ReadOnly(Transient):
    """The server takes no writes."""


class Running(NamedTuple):
    """A process that runs, or did. silent_s: since the end of its lease; below 0 it has just said that it runs."""

    name: str
    release: str
    needs: str
    roles: str
    silent_s: float

    @property
    def host(self) -> str:
        """Return the machine or container that it ran on."""
        return host_of(self.name)


class Presence:
    """One process of ours. fit: the schemas up to the one that it needs. lease_s: so long its word holds."""

    def __init__(self, url: str, release: str, fit: Sequence[str], roles: str, lease_s: float) -> None:
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.answer_s = ANSWER_S
        self._url = url
        self._row = {
            "name": self.name,
            "release": release,
            "needs": fit[-1],
            "fit": list(fit),
            "roles": roles,
            "lease_s": lease_s,
            "forgotten_s": FORGOTTEN_AFTER_S,
        }

    async def announce(self) -> None:
        """Say that this process runs. Raises Unfit if a later release took away what it needs.

        Raises Transient while a contraction is under way, while somebody holds the table, or on a server that takes no
        writes; and what psycopg raises.
        """
        try:
            said = await self._run(_SHARE, _FORGET, _ANNOUNCE)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise ReadOnly(READ_ONLY) from error
        if said == 0:
            raise Unfit(
                f"a newer release has taken away what this one ({self._row['release']}) uses in the database: "
                "run the newer release"
            )

    async def beat(self) -> None:
        """Say that it still runs. If its row is gone, begin as at the start. Raises as announce."""
        if await self._run(_BEAT) == 0:
            await self.announce()

    async def leave(self) -> None:
        """Say that it ends. Raises as announce."""
        await self._run(_LEAVE)

    async def _run(self, *statements: LiteralString) -> int:
        """Run these in one transaction, and count the rows of the last. The server is not waited for without end."""
        connection: psycopg.AsyncConnection[Any] = await connect(self._url, name="payments start")
        try:
            # Else a snapshot from before the lock was free would show the schema of then.
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            statement = statements[0]
            try:
                async with asyncio.timeout(self.answer_s):
                    for statement in statements:
                        cursor = await connection.execute(statement, self._row)
                    await connection.commit()
            except TimeoutError:
                raise Transient(self._unanswered(statement)) from None
            return cursor.rowcount
        finally:
            await connection.close()

    def _unanswered(self, statement: LiteralString) -> str:
        """Say what probably holds up a statement, and what to do."""
        text = f"the database has not answered for {self.answer_s:g} s: "
        if statement == _SHARE:
            return text + "perhaps `payments migrate --contract` runs. Start this again when that is over"
        return text + (
            "perhaps somebody holds the table `process` (VACUUM FULL, LOCK): pg_stat_activity shows who. Start "
            "this again when that is over"
        )


def running_before(connection: psycopg.Connection[Any], oldest: str, ended: Collection[str]) -> list[Running]:
    """Return the processes made for an older schema than this, but those that are silent and known to have ended.

    ended: names, or hosts with a dash and ALL_OF behind.
    """
    with connection.cursor(row_factory=class_row(Running)) as cursor:
        found = cursor.execute(_OTHERS, [FORGOTTEN_AFTER_S, oldest]).fetchall()
    return [process for process in found if process.silent_s < 0 or not _is_named(process.name, ended)]


def forget_ended(connection: psycopg.Connection[Any], ended: Collection[str]) -> None:
    """Delete the rows of these processes. One that was frozen only finds that out when it wakes up."""
    silent = [name for (name,) in connection.execute("SELECT name FROM process WHERE until < now()").fetchall()]
    gone = [name for name in silent if _is_named(name, ended)]
    connection.execute("DELETE FROM process WHERE name = ANY(%s) AND until < now()", [gone])


def _is_named(name: str, ended: Collection[str]) -> bool:
    return name in ended or all_of(host_of(name)) in ended


def host_of(name: str) -> str:
    """Return the machine or container of a process: its name without process id and random part."""
    return name.rsplit("-", 2)[0]


def all_of(host: str) -> str:
    """Return what a person says of all processes of a host. A host whose name only begins so is another one."""
    return f"{host}-{ALL_OF}"


def sessions_of_ours(connection: psycopg.Connection[Any]) -> list[tuple[str, int]]:
    """Return name and pid of all sessions of ours but this one: before 0018 no process says that it runs."""
    return [(str(name), int(pid)) for name, pid in connection.execute(_SESSIONS).fetchall()]


def hold_back_starts(connection: psycopg.Connection[Any]) -> None:
    """Have every process that starts wait until this transaction ends."""
    connection.execute(f"SELECT pg_advisory_xact_lock({CONTRACTING})")

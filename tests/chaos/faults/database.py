"""What operators and fail-overs do to PostgreSQL while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from tests.chaos.faults.scene import AGAIN_S, Scene

END_SESSIONS: Final[LiteralString] = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'chaos'"""
TABLES: Final[LiteralString] = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1"""
LAST_DAY: Final[LiteralString] = """
    SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'inbox'::regclass ORDER BY pg_get_expr(c.relpartbound, c.oid) DESC LIMIT 1"""
AHEAD: Final[LiteralString] = "SELECT right(%s, 8)::date > (now() AT TIME ZONE 'UTC')::date + 1"
EVERY_S: Final = 0.7
ROWS: Final[dict[str, LiteralString]] = {
    "order": """
        SELECT order_id FROM orders ORDER BY status IN ('paid_and_confirmed', 'payment_failed'), updated_at DESC
         LIMIT 1 FOR UPDATE SKIP LOCKED""",
    "goods": "SELECT sku FROM stock ORDER BY reserved DESC LIMIT 1 FOR UPDATE SKIP LOCKED",
}
"""An order under way, and the goods that most orders wait for."""
LIMIT_MS: Final = (3, 30)
"""A limit that nothing keeps, and one that a small batch does."""
LOCK_S: Final = "2s"


@contextmanager
def end_sessions(scene: Scene) -> Iterator[None]:
    """End every session, again and again."""
    for _ in range(max(1, int(scene.fault.lasts_s / EVERY_S))):
        scene.insist(lambda: _run(scene, END_SESSIONS))
        scene.pause(EVERY_S)
    yield


@contextmanager
def make_read_only(scene: Scene) -> Iterator[None]:
    """Have the server take no writes, as one that has just lost its rank: sessions end, new ones only read."""
    scene.insist(lambda: _default_read_only(scene, "on"))
    try:
        yield
    finally:
        scene.insist(lambda: _default_read_only(scene, "off"))


@contextmanager
def dump(scene: Scene) -> Iterator[None]:
    """Hold the locks of a pg_dump over midnight: a day of the inbox is to be made, and a sweep begins to.

    A dump only reads: no order may wait for it.
    """
    scene.places = frozenset()
    scene.insist(lambda: _forget_last_day(scene))
    connection = scene.insist(lambda: _lock_all(scene))
    try:
        scene.world.fleet.drain("sweep-1")
        scene.world.fleet.start("sweep-1")
        yield
    finally:
        with suppress(psycopg.Error):
            connection.close()


@contextmanager
def lock_row(scene: Scene) -> Iterator[None]:
    """Hold a row as an operator's session does that forgot to commit: only what needs it waits."""
    scene.places = frozenset()
    connection = scene.insist(lambda: _lock_row(scene))
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connection.close()


@contextmanager
def limit_time(scene: Scene) -> Iterator[None]:
    """Set a time limit that transactions overrun, as a default of the database."""
    name = sql.Identifier(scene.fault.target)
    limit = f"{scene.draw.choice(LIMIT_MS)}ms"
    scene.notes.append(limit)
    database = sql.Identifier("payments")
    change = sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, name, sql.Literal(limit))
    scene.insist(lambda: _run(scene, change, END_SESSIONS))
    try:
        yield
    finally:
        scene.insist(lambda: _run(scene, sql.SQL("ALTER DATABASE {} RESET {}").format(database, name), END_SESSIONS))


def _run(scene: Scene, *statements: Any) -> None:
    with _connect(scene) as connection:
        for statement in statements:
            connection.execute(statement)


def _connect(scene: Scene) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect, past what this module itself has set."""
    connection = scene.world.connect()
    for name in ("default_transaction_read_only", "transaction_timeout", "statement_timeout"):
        off = "off" if name.startswith("default") else "0"
        connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(off)))
    return connection


def _default_read_only(scene: Scene, value: str) -> None:
    with _connect(scene) as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(END_SESSIONS)


def _forget_last_day(scene: Scene) -> None:
    """Drop the inbox's last day, which is empty: it is as if midnight had passed."""
    with _connect(scene) as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_S)))
        found = connection.execute(LAST_DAY).fetchone()
        assert found is not None
        assert connection.execute(AHEAD, [found[0]]).fetchone() == (True,), f"{found[0]} was not made again"
        day = sql.Identifier(found[0])
        rows = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(day)).fetchone()
        assert rows == (0,), f"{found[0]} is not empty"
        connection.execute(sql.SQL("DROP TABLE {}").format(day))


def _lock_row(scene: Scene) -> psycopg.Connection[tuple[Any, ...]]:
    connection = scene.world.connect(autocommit=False)
    try:
        found = connection.execute(ROWS[scene.fault.target]).fetchone()
        while found is None:
            connection.rollback()
            scene.pause(AGAIN_S)
            found = connection.execute(ROWS[scene.fault.target]).fetchone()
    except BaseException:
        connection.close()
        raise
    scene.notes.append(str(found[0]))
    return connection


def _lock_all(scene: Scene) -> psycopg.Connection[tuple[Any, ...]]:
    connection = scene.world.connect(autocommit=False)
    try:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        tables = [sql.SQL(name) for (name,) in connection.execute(TABLES).fetchall()]
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(tables)))
    except BaseException:
        connection.close()
        raise
    return connection

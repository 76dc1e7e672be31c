"""Indexes that are left alone while tables fill, and built at the end: row by row they would take most of the time.

For the superuser of a database that nobody else uses.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

RANDOM_FILLED: Final = 70
"""Per cent of a page that random keys leave full, once its pages have split often: ln 2."""
_OF_TABLES: Final = """
    SELECT x.relname AS name, a.attname AS first
      FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_class t ON t.oid = i.indrelid
      JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1
      LEFT JOIN pg_inherits h ON h.inhrelid = t.oid LEFT JOIN pg_class p ON p.oid = h.inhparent
     WHERE coalesce(p.relname, t.relname) = ANY(%s) ORDER BY 1"""
_ALONE: Final = (
    "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = ANY(%s::text[]::regclass[])"
)
_BUILDING: Final = "SET maintenance_work_mem = '1GB'"


class Index(NamedTuple):
    """One index. name: as SQL writes it; first: its first column."""

    name: str
    first: str


@contextmanager
def built_late(
    admin: psycopg.Connection[Any], tables: Sequence[str], random: Sequence[str], tell: Callable[[str], None]
) -> Iterator[None]:
    """Leave the indexes of these tables alone meanwhile.

    admin: in autocommit. random: columns whose values are random, so that an index that begins with one is filled as
    such keys leave it.
    """
    indexes = [Index(*row) for row in admin.execute(_OF_TABLES.encode(), [list(tables)]).fetchall()]
    admin.execute(_ALONE.encode(), [[index.name for index in indexes]])
    yield
    admin.execute(_BUILDING.encode())
    for index in indexes:
        tell(f"building {index.name}")
        _build(admin, index, RANDOM_FILLED if index.first in random else None)


@contextmanager
def without_autovacuum(admin: psycopg.Connection[Any]) -> Iterator[None]:
    """Let autovacuum leave the whole server alone meanwhile: it would read what still grows, again and again."""
    _autovacuum(admin, "OFF")
    yield
    _autovacuum(admin, "DEFAULT")


def _build(admin: psycopg.Connection[Any], index: Index, filled: int | None) -> None:
    name = sql.Identifier(index.name)
    if filled is not None:
        admin.execute(sql.SQL("ALTER INDEX {} SET (fillfactor = {})").format(name, sql.Literal(filled)))
    admin.execute(sql.SQL("REINDEX INDEX {}").format(name))
    if filled is not None:
        admin.execute(sql.SQL("ALTER INDEX {} RESET (fillfactor)").format(name))


def _autovacuum(admin: psycopg.Connection[Any], value: str) -> None:
    admin.execute(f"ALTER SYSTEM SET autovacuum = {value}".encode())
    admin.execute("SELECT pg_reload_conf()")

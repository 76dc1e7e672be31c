"""Databases that live as long as one test."""

import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from outbox.driver.conninfo import conninfo_of, libpq_url

_RUN = f"test_{os.getpid()}_{secrets.token_hex(3)}"
_NUMBERS = itertools.count(1)
DROP_TRIES = 5


@contextmanager
def fresh_database(server_url: str, template: str | None) -> Iterator[str]:
    """Make a database, a copy of template if one is named, and drop it afterwards, whoever is still connected."""
    name = f"{_RUN}_{next(_NUMBERS)}"
    conninfo = conninfo_of(server_url)
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(_made(name, template))
    try:
        yield in_database(server_url, name)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as admin:
            _drop(admin, name)


def make_anew(server_url: str, name: str, template: str) -> None:
    """Make this database a copy of template, whatever it was before."""
    with psycopg.connect(conninfo_of(server_url), autocommit=True) as admin:
        _drop(admin, name)
        admin.execute(_made(name, template))


def database_of(url: str) -> str:
    """Return the name of the database of a URL."""
    return str(conninfo_to_dict(libpq_url(url))["dbname"])


def in_database(url: str, name: str) -> str:
    """Name another database of the same servers, be they one or several."""
    before, separator, rest = url.partition("://")
    place, mark, parameters = rest.rpartition("?") if "?" in rest.rpartition("@")[2] else (rest, "", "")
    login, at, hosts = place.rpartition("@")
    return f"{before}{separator}{login}{at}{hosts.partition('/')[0]}/{name}{mark}{parameters}"


def _made(name: str, template: str | None) -> sql.Composed:
    made = sql.SQL("create database {}").format(sql.Identifier(name))
    return made if template is None else made + sql.SQL(" template {}").format(sql.Identifier(template))


def _drop(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Drop a database. An autovacuum worker in it may not be ended by us; it ends by itself, or by an unforced drop."""
    forced = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    unforced = sql.SQL("drop database if exists {}").format(sql.Identifier(name))
    for _ in range(DROP_TRIES):
        try:
            admin.execute(forced)
        except psycopg.errors.InsufficientPrivilege:
            # The unforced form sends such a worker away, and waits up to 5 s for it.
            with suppress(psycopg.errors.ObjectInUse):
                admin.execute(unforced)
        else:
            return
    admin.execute(forced)

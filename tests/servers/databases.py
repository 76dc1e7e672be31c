"""Databases that live as long as one test."""

import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import make_url

_RUN = f"test_{os.getpid()}_{secrets.token_hex(3)}"
_NUMBERS = itertools.count(1)


@contextmanager
def fresh_database(server_url: str, template: str | None) -> Iterator[str]:
    """Make a database, a copy of template if one is named, and drop it afterwards, whoever is still connected."""
    server = make_url(server_url)
    name = f"{_RUN}_{next(_NUMBERS)}"
    made = sql.SQL("create database {}").format(sql.Identifier(name))
    if template is not None:
        made += sql.SQL(" template {}").format(sql.Identifier(template))
    plain = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(made)
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

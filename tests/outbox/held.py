"""Somebody holds a snapshot, as a dump does: no dead row can be removed meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg


@contextmanager
def snapshot(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Hold a snapshot; give a connection beside it."""
    with psycopg.connect(url) as dump, psycopg.connect(url, autocommit=True) as beside:
        dump.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        dump.execute("SELECT count(*) FROM stock")
        yield beside
        dump.rollback()

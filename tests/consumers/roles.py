"""A database user that may do what a process of ours must be allowed to, and nothing else: who needs more is seen."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from outbox.schema.privileges import SEQUENCES, TABLES, Process


@contextmanager
def limited_user(owner: str, process: Process) -> Iterator[str]:
    """Make the user and give the conninfo with it. owner: conninfo of the owner of the tables."""
    revoke: LiteralString = "REVOKE ALL ON ALL {} IN SCHEMA public FROM {}"
    name, password = f"test_{process}_{secrets.token_hex(4)}", secrets.token_hex(8)
    user = sql.Identifier(name)
    grants = [
        sql.SQL("GRANT {} ON {} TO {}").format(
            sql.SQL(", ").join(map(sql.SQL, privileges)), sql.Identifier(table), user
        )
        for table, privileges in TABLES[process].items()
    ]
    grants += [
        sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sql.Identifier(sequence), user)
        for sequence in SEQUENCES[process]
    ]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE USER {} PASSWORD {}").format(user, password))
        try:
            connection.execute(sql.SQL("; ").join(grants))
            yield make_conninfo(owner, user=name, password=password)
        finally:
            for what in ("TABLES", "SEQUENCES"):
                connection.execute(sql.SQL(revoke).format(sql.SQL(what), user))
            connection.execute(sql.SQL("DROP USER {}").format(user))

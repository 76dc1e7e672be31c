"""The roles of deploy/roles.sql in a test's database: made, migrated, granted; dropped afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from deploy.preparing import migrate_database
from deploy.settings import load_settings
from outbox.driver.conninfo import libpq_url

FILE = Path(__file__).parents[2] / "deploy" / "roles.sql"
ROLES = ("payments_migrator", "payments_app", "payments_relay", "payments_reader", "payments_restorer")
MIGRATOR, APP, RELAY, READER, RESTORER = ROLES
URL = "PAYMENTS_DATABASE_URL"


def with_role(url: str, role: str) -> str:
    return make_url(url).set(username=role, password="of-a-role").render_as_string(hide_password=False)


def run_file(url: str) -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(FILE.read_bytes())
        for role in ROLES:
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'of-a-role'").format(sql.Identifier(role)))


@contextmanager
def roles_of(database_url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Make the roles, migrate as the migrator, grant; give the URL of each role while inside."""
    run_file(database_url)
    urls = {role: with_role(database_url, role) for role in ROLES}
    try:
        migrate_database(load_settings({URL: urls[MIGRATOR]}, directory=folder))
        run_file(database_url)
        yield urls
    finally:
        with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
            for role in map(sql.Identifier, ROLES):
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
                connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
                connection.execute(sql.SQL("DROP ROLE {}").format(role))

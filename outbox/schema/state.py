"""Whether a database has the tables that this release needs."""

from dataclasses import dataclass
from typing import Final

from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from outbox.driver.engine import engine_for
from outbox.schema.migrations.run import config

_DAYS: Final = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'inbox'::regclass AND NOT inhdetachpending"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """revision: of the database; None without tables. head: what this release needs. known: it knows the revision.

    partitions: of the inbox.
    """

    revision: str | None
    head: str
    known: bool
    partitions: int

    @property
    def usable(self) -> bool:
        """Whether this release can work with it: it is at head, or a newer release made it (expand, then contract)."""
        at_head = self.revision == self.head or (self.revision is not None and not self.known)
        return at_head and self.partitions > 0


def schema_state(url: str) -> SchemaState:
    """Read the state. url: postgresql+psycopg://... Raises SQLAlchemy's OperationalError if nothing answers."""
    scripts = ScriptDirectory.from_config(config())
    head = scripts.get_current_head()
    assert head is not None
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            tables = inspect(connection)
            revision, partitions = None, 0
            if tables.has_table("alembic_version"):
                revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if tables.has_table("inbox"):
                partitions = connection.execute(text(_DAYS)).scalar_one()
    finally:
        engine.dispose()
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaState(revision, head, revision in known, partitions)

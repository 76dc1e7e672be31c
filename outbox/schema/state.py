"""Whether a database has the tables that this release needs."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from outbox.driver.conninfo import connect_now

_DAYS: Final = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'inbox'::regclass AND NOT inhdetachpending"
_TABLES: Final = "SELECT to_regclass('alembic_version') IS NOT NULL, to_regclass('inbox') IS NOT NULL"


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


def revisions() -> tuple[str, ...]:
    """Name the migrations, oldest first, by their files: every start asks, and Alembic takes long to load."""
    folder = files("outbox.schema") / "migrations" / "versions"
    names = (file.name.partition("_")[0] for file in folder.iterdir() if file.name.endswith(".py"))
    return tuple(sorted(filter(str.isdigit, names)))


def schema_state(url: str) -> SchemaState:
    """Read the state. url: postgresql://... or postgresql+psycopg://... Raises psycopg's Error if nothing answers."""
    known = revisions()
    with connect_now(url) as connection:
        ((versioned, has_inbox),) = connection.execute(_TABLES).fetchall()
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if versioned else None
        ((partitions,),) = connection.execute(_DAYS).fetchall() if has_inbox else [(0,)]
    revision = None if found is None else str(found[0])
    return SchemaState(revision, known[-1], revision in known, partitions)

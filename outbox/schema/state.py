"""Whether a database has the tables that this release needs, and has not lost any of them to a later one."""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from outbox.driver.conninfo import connect_now
from outbox.schema.steps import Kind, Step, needed, steps

_DAYS: Final = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'inbox'::regclass AND NOT inhdetachpending"
_TABLES: Final = "SELECT to_regclass('alembic_version') IS NOT NULL, to_regclass('inbox') IS NOT NULL"
_SAID: Final = "SELECT to_regclass('migration') IS NOT NULL"
_OLDEST: Final = "SELECT oldest FROM migration WHERE revision = %s"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """revision: of the database; None without tables. chain: the migrations of this release.

    oldest: the least schema that a process must be made for, as the database says; None if it does not say. It is
    asked for only if the revision is of a newer release. partitions: of the inbox.
    """

    revision: str | None
    chain: tuple[Step, ...]
    oldest: str | None
    partitions: int

    @property
    def head(self) -> str:
        """The last schema that this release knows."""
        return self.chain[-1].revision

    @property
    def needed(self) -> str:
        """The least schema that this release works on."""
        return needed(self.chain)

    @property
    def known(self) -> bool:
        """Whether this release knows the database's schema."""
        return self.revision in [step.revision for step in self.chain]

    @property
    def too_old(self) -> bool:
        """Whether this release needs a later schema."""
        return self.revision is None or (self.known and self.revision < self.needed)

    @property
    def too_new(self) -> bool:
        """Whether a newer release has taken away what this one needs.

        What this release does not know is later than all that it knows. So is a database that does not say.
        """
        if self.revision is None or self.known:
            return False
        fit = [step.revision for step in self.chain if step.revision <= self.needed]
        return self.oldest not in fit

    @property
    def usable(self) -> bool:
        """Whether this release can work with it."""
        return not self.too_old and not self.too_new and self.partitions > 0

    @property
    def pending(self) -> tuple[Step, ...]:
        """The migrations of this release that the database has not had, oldest first."""
        if self.revision is None:
            return self.chain
        return tuple(step for step in self.chain if step.revision > self.revision) if self.known else ()

    @property
    def pending_contracts(self) -> tuple[Step, ...]:
        """Those of them before which no process of an older release may run."""
        return tuple(step for step in self.pending if step.kind is Kind.CONTRACT)


def schema_state(url: str, chain: tuple[Step, ...] | None = None) -> SchemaState:
    """Read the state. url: postgresql://... or postgresql+psycopg://... Raises psycopg's Error if nothing answers."""
    with connect_now(url) as connection:
        return state_over(connection, chain or steps())


def state_over(connection: psycopg.Connection[Any], chain: tuple[Step, ...]) -> SchemaState:
    """As schema_state, over an open connection, in its transaction."""
    ((versioned, has_inbox),) = connection.execute(_TABLES).fetchall()
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if versioned else None
    ((partitions,),) = connection.execute(_DAYS).fetchall() if has_inbox else [(0,)]
    revision = None if found is None else str(found[0])
    oldest = None
    if revision is not None and revision not in [step.revision for step in chain]:
        ((says,),) = connection.execute(_SAID).fetchall()
        row = connection.execute(_OLDEST, [revision]).fetchone() if says else None
        oldest = None if row is None else str(row[0])
    return SchemaState(revision, chain, oldest, partitions)

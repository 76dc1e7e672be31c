"""A connection of the hot path, and what its server's session has prepared."""

from typing import Any, Final

import psycopg

Key = tuple[bytes, tuple[int, ...]]
"""A statement, and the types of its parameters as PostgreSQL's oids."""

PREPARED_MAX: Final = 256
"""Of a session. Our statements are a few dozen; what comes beyond is sent whole each time."""


class Session(psycopg.AsyncConnection[Any]):
    """A connection that knows what it has prepared. Exchange prepares; psycopg itself prepares nothing here.

    Psycopg would take all prepared statements away at each rollback, ours as well.
    """

    def __init__(self, *args: Any, **how: Any) -> None:
        """Make it as psycopg does."""
        super().__init__(*args, **how)
        self.pooled = False
        """Behind a pooler: another session may run the next transaction, so nothing is prepared, or set for longer."""
        self.prepared: dict[Key, bytes] = {}
        """The names of the prepared statements."""
        self._named = 0

    @property
    def may_prepare(self) -> bool:
        """Whether a further statement may be prepared."""
        return not self.pooled and len(self.prepared) < PREPARED_MAX

    def new_name(self) -> bytes:
        """Return a name for a prepared statement. No name comes twice: one whose answer is lost may be taken."""
        self._named += 1
        return b"payments_%d" % self._named

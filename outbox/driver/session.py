"""A connection of the hot path, and what its server's session has prepared."""

from hashlib import blake2b
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

    def may_prepare(self, under_way: int) -> bool:
        """Whether a further statement may be prepared. under_way: how many are being prepared just now."""
        return not self.pooled and len(self.prepared) + under_way < PREPARED_MAX

    def new_name(self, key: Key) -> bytes:
        """Return a name for a prepared statement. No name comes twice: one whose answer is lost may be taken.

        A name tells the statement, too. A pooler that nobody noticed may give us a session in which another client has
        prepared its own: the same name must not be another statement there.
        """
        self._named += 1
        text, types = key
        tells = blake2b(b"%s %s" % (repr(types).encode(), text), digest_size=8).hexdigest()
        return b"payments_%d_%s" % (self._named, tells.encode())

"""Where a read of the outbox begins: below this id no row is there, and none can come.

While somebody holds a snapshot, rows that were sent cannot be removed, and a read from the beginning walks over all of
them. Ids are drawn before the commit, so a transaction that is still open may bring a lower one. But whoever inserts
locks the table first, draws then, and keeps the lock until its end. So of an id that we have seen: note it, then look
who holds such a lock. Once none of these does, all that drew a lower id have ended, and what they brought can be seen.
Transaction ids would not tell that: one may draw its row's id before it has its own.

That holds only while each id is drawn after all lower ones: not if sessions draw some in advance (CACHE), or somebody
sets the sequence back. So we look below the floor, too. Where a row came there once, more will come: no floor then.

The floor belongs to one connection: a relay that begins anew, perhaps on another server, begins without.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
import structlog
from psycopg.types.numeric import Int8

from outbox.driver.sqlstates import first_line
from outbox.relay.reading import LOWEST, OUTBOX_ID, Row

RISE_S: Final = 1.0
"""Seconds between two tries to raise it. Until then a read walks over what was sent within about twice as long."""
CHECK_S: Final = 60.0
"""Seconds between two looks below it. No transaction of ours puts rows there. A person may, or reset the sequence."""
_IN_ORDER: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('outbox', 'id')::regclass
                    AND seqcache = 1 AND seqincrement > 0)"""
_WRITERS: LiteralString = """
    SELECT DISTINCT virtualtransaction FROM pg_locks
     WHERE locktype = 'relation' AND relation = 'outbox'::regclass AND mode = 'RowExclusiveLock'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_PREPARED: Final = "-1/"
"""How virtual transactions of prepared ones begin. Such a one had another name before."""
_LOWEST_ROW: LiteralString = "SELECT id FROM outbox WHERE id >= %s ORDER BY id LIMIT 1"
_BELOW: LiteralString = "SELECT EXISTS (SELECT FROM outbox WHERE id < %s)"


class _Noted(NamedTuple):
    """An id that was drawn, and who might have drawn lower ones then and still be open."""

    upto: int
    writers: frozenset[str]


class Floor:
    """Begins without a floor. Times are seconds of a monotonic clock."""

    def __init__(self, now: float, *, rise_s: float = RISE_S, check_s: float = CHECK_S) -> None:
        self.first = LOWEST
        """Reads begin here."""
        self._seen = LOWEST
        self._noted: _Noted | None = None
        self._is_given_up = False
        self._rise_s = rise_s
        self._check_s = check_s
        self._tried = now
        self._checked = now

    def note_read(self, rows: Sequence[Row]) -> None:
        """Note rows that were read, in the order of the outbox."""
        if rows:
            self._seen = max(self._seen, rows[-1][OUTBOX_ID])

    async def raise_if_due(self, connection: psycopg.AsyncConnection[Any], now: float) -> None:
        """Raise the floor as far as is safe. Looks at most once in rise_s. Runs outside of a transaction."""
        if self._is_given_up:
            return
        if self.first > LOWEST and now - self._checked >= self._check_s:
            self._checked = now
            await self._check(connection)
        if self._seen >= self.first and now - self._tried >= self._rise_s:
            self._tried = now
            await self._raise(connection)

    async def _raise(self, connection: psycopg.AsyncConnection[Any]) -> None:
        # What is noted was read before this look at the locks.
        upto = self._seen
        try:
            ((in_order,),) = await _rows(connection, _IN_ORDER)
            writers = frozenset(row[0] for row in await _rows(connection, _WRITERS))
        except psycopg.errors.InsufficientPrivilege as error:
            self._give_up(first_line(error))
            return
        if not in_order:
            self._give_up("the sequence of its ids does not give them one by one (CACHE, INCREMENT), or is not there")
            return
        noted = self._noted
        if noted is not None:
            if noted.writers & writers or any(writer.startswith(_PREPARED) for writer in writers):
                return
            # Another statement: its snapshot sees all that these transactions have committed.
            found = await _rows(connection, _LOWEST_ROW, Int8(self.first))
            self.first = max(self.first, min([noted.upto + 1, *(row[0] for row in found)]))
        self._noted = _Noted(upto, writers)

    async def _check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        ((below,),) = await _rows(connection, _BELOW, Int8(self.first))
        if below:
            self._give_up("rows came with lower ids than those that were sent")

    def _give_up(self, why: str) -> None:
        """Read from the beginning, as long as this connection lasts."""
        self.first, self._noted, self._is_given_up = LOWEST, None, True
        structlog.get_logger("outbox.relay").warning(
            "each read of the outbox begins with its lowest row: while a snapshot is held, that is slow", why=why
        )


async def _rows(
    connection: psycopg.AsyncConnection[Any], query: LiteralString, *parameters: object
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, parameters)).fetchall()

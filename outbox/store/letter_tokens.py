"""Payment tokens of dead letters: erased when their time is over, and hidden in letters of older releases."""

from typing import Final, LiteralString

from domain.ports.letters import Hide
from outbox.driver.connections import Connections
from outbox.store.lent import lent_transaction

_ERASE: Final[LiteralString] = """
    UPDATE dead_letter SET original = NULL, erased_at = now()
     WHERE id IN (SELECT id FROM dead_letter
                   WHERE original IS NOT NULL AND first_at < now() - make_interval(days => %s)
                   ORDER BY first_at LIMIT %s FOR UPDATE SKIP LOCKED)"""
_UNSEARCHED: Final[LiteralString] = """
    SELECT id, consumer_group, body FROM dead_letter
     WHERE NOT token_hidden ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"""
_SEARCHED: Final[LiteralString] = "UPDATE dead_letter SET token_hidden = true WHERE id = ANY(%s)"
_HIDE: Final[LiteralString] = """
    UPDATE dead_letter
       SET token_hidden = true, masked = true, body = %(shown)s,
           original = CASE WHEN redriven_at IS NULL THEN body END,
           erased_at = CASE WHEN redriven_at IS NOT NULL THEN now() END
     WHERE id = %(id)s"""


class PgKeptLetters:
    """domain.ports.letters.KeptLetters over PostgreSQL."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def erase_tokens(self, days: int, limit: int) -> int:
        """Erase those whose time is over."""
        async with lent_transaction(self._connections) as connection:
            return (await connection.execute(_ERASE, [days, limit])).rowcount

    async def hide_tokens(self, hide: Hide, limit: int) -> int:
        """Search letters that were written without doing so."""
        async with lent_transaction(self._connections) as connection:
            cursor = await connection.cursor(binary=True).execute(_UNSEARCHED, [limit])
            rows = await cursor.fetchall()
            same, hidden = [], []
            for number, group, body in rows:
                shown = None if body is None else hide(group, body)
                if shown == body:
                    same.append(number)
                else:
                    hidden.append({"id": number, "shown": shown or b""})
            if same:
                await connection.execute(_SEARCHED, [same])
            if hidden:
                await connection.cursor().executemany(_HIDE, hidden)
        return len(rows)

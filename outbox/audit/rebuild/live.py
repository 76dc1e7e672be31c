"""The live side: the state of every order as the database has it, read in one snapshot."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, LiteralString

import psycopg

from domain.closing import ELSEWHERE
from outbox.audit.books import FETCH, Books
from outbox.audit.rebuild.judge import Live
from outbox.audit.rebuild.said import OPENS
from outbox.audit.rebuild.state import order_of

_ORDERS: Final[LiteralString] = f"""
    WITH refund_cells AS (
      SELECT order_number, attempt,
             array_agg(DISTINCT coalesce(reference, operation_id::text)
                       ORDER BY coalesce(reference, operation_id::text)) AS ids
        FROM operation
       WHERE (kind = 'refund' AND state = 'approved') OR starts_with(detail, '{ELSEWHERE}') GROUP BY 1, 2),
    attempt_cells AS (
      SELECT a.order_number, bool_or(r.state = 'held') AS holds, json_agg(json_build_array(
               a.attempt, CASE WHEN a.authorized_minor > 0 OR a.action_expires_at IS NOT NULL THEN a.transaction_id END,
               a.authorized_minor, a.captured_minor, a.refunded_minor,
               CASE WHEN a.voided OR a.captured_minor > 0 THEN 0 ELSE a.authorized_minor END,
               r.reservation_id, coalesce(f.ids, ARRAY[]::text[])) ORDER BY a.attempt) AS attempts
        FROM attempt a LEFT JOIN reservation r USING (order_number, attempt)
             LEFT JOIN refund_cells f USING (order_number, attempt)
       GROUP BY 1),
    work AS (
      SELECT order_number, string_agg(kind || ' ' || state, ', ' ORDER BY opened_at, kind) AS under_way FROM operation
       WHERE state IN ('open', 'pending', 'unknown') AND due_at IS NOT NULL GROUP BY 1),
    unsent AS (
      SELECT DISTINCT e.order_number FROM (SELECT unnest(event_ids) AS id FROM outbox) o JOIN event e USING (id)
       WHERE e.order_number IS NOT NULL)
    SELECT o.order_id, o.status, o.attempt, o.version, o.currency, o.total_minor, c.attempts,
           coalesce(w.under_way, CASE WHEN c.holds AND o.status IN ('payment_failed', 'cancelled')
                                      THEN 'goods are still held' END, ''),
           u.order_number IS NOT NULL, o.updated_at::text
      FROM orders o LEFT JOIN attempt_cells c USING (order_number) LEFT JOIN work w USING (order_number)
           LEFT JOIN unsent u USING (order_number)"""  # noqa: S608 - literals only
_REFUSED: Final[LiteralString] = "SELECT DISTINCT order_id FROM dead_letter WHERE topic = %s AND order_id IS NOT NULL"
_SEEN: Final[LiteralString] = "SELECT order_id, updated_at::text FROM orders WHERE order_id = ANY(%s)"


async def read_live(books: Books) -> AsyncIterator[Sequence[Live]]:
    """Yield every order of the snapshot, some thousand at a time, in no order."""
    async with AsyncExitStack() as stack:
        cursor = await books.stream(stack, _ORDERS)
        while rows := await cursor.fetchmany(FETCH):
            yield [_live_of(row) for row in rows]


async def read_refused(books: Books) -> list[tuple[str]]:
    """Return the ids of orders whose OrderConfirmed is a dead letter, or waits in quarantine."""
    return [(order_id,) for (order_id,) in await books.rows(_REFUSED, [books.scope.prefix + OPENS])]


async def seen_now(connection: psycopg.AsyncConnection[Any], order_ids: Collection[str]) -> dict[str, str]:
    """Return when these orders last changed, as `Live.seen` says it; those that are not there are left out."""
    return dict(await (await connection.execute(_SEEN, [list(order_ids)])).fetchall())


def _live_of(row: Sequence[Any]) -> Live:
    *fields, attempts, under_way, unsent, seen = row
    return Live(order_of(fields, attempts or ()), under_way, unsent, seen)

"""The inventory's list of holds in a temporary table, and each hold of ours beside it.

As with the gateway's lists, theirs is read first, then our tables. So an order that changed since the reading began is
under way and not judged. A session of its own is needed, for the table lasts as long as the session.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import orjson
import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from domain.ports.inventory_lists import InventoryLists, ListedHold, TheirState
from outbox.audit.hold_differences import HoldPair, OurHold, TheirHold

FETCH: Final = 1_000
CLOCKS: Final = timedelta(minutes=5)
"""How far our clock and the inventory's may differ."""
_MAKE: Final[tuple[LiteralString, ...]] = (
    "DROP TABLE IF EXISTS pg_temp.listed_hold",
    """CREATE TEMP TABLE listed_hold (
         reservation_id uuid NOT NULL, order_id text NOT NULL, state text NOT NULL, lines jsonb NOT NULL,
         restocked jsonb NOT NULL, until timestamptz NOT NULL)""",
)
_DONE: Final[tuple[LiteralString, ...]] = (
    # A hold that changed while the pages were read may be on two of them. The last one is true.
    """DELETE FROM listed_hold a USING listed_hold b
        WHERE a.reservation_id = b.reservation_id AND a.ctid < b.ctid""",
    "CREATE UNIQUE INDEX ON listed_hold (reservation_id)",
    "ANALYZE listed_hold",
)
_NOW: Final[LiteralString] = "SELECT clock_timestamp()"
_COPY: Final[LiteralString] = "COPY listed_hold FROM STDIN (FORMAT BINARY)"
_TYPES: Final = ("uuid", "text", "text", "jsonb", "jsonb", "timestamptz")
_PAIRS: Final[LiteralString] = """
    WITH made AS (
      SELECT order_number, attempt, min(opened_at) AS at FROM operation WHERE kind = 'reserve' GROUP BY 1, 2),
    returned AS (
      SELECT p.order_number, p.attempt, line ->> 'sku' AS sku, sum((line ->> 'quantity')::bigint)::bigint AS units
        FROM operation p CROSS JOIN jsonb_array_elements(p.frozen -> 'lines') AS line
       WHERE p.kind = 'restock' AND p.state = 'approved' GROUP BY 1, 2, 3),
    back AS (
      SELECT order_number, attempt, jsonb_agg(jsonb_build_array(sku, units)) AS lines FROM returned GROUP BY 1, 2),
    work AS (
      SELECT order_number, bool_or(due_at IS NOT NULL AND NOT (kind = 'refund' AND state = 'pending')) AS working,
             bool_or(due_at IS NULL) AS given_up
        FROM operation WHERE state IN ('open', 'pending', 'unknown') GROUP BY order_number),
    ours AS (
      SELECT r.reservation_id, r.order_number, r.order_id, r.attempt, r.state, r.expires_at, r.pinned, o.lines,
             coalesce(b.lines, '[]'::jsonb) AS restocked, o.status,
             %(since)s::timestamptz IS NULL OR m.at >= %(since)s::timestamptz AS listed
        FROM reservation r
             JOIN made m ON m.order_number = r.order_number AND m.attempt = r.attempt
             JOIN orders o ON o.order_number = r.order_number
             LEFT JOIN back b ON b.order_number = r.order_number AND b.attempt = r.attempt)
    SELECT coalesce(u.reservation_id, h.reservation_id)::text, u.order_id, u.attempt, u.state, u.expires_at, u.pinned,
           u.lines, u.restocked, u.status, u.listed, coalesce(w.given_up, false),
           h.order_id, h.state, h.lines, h.restocked, h.until,
           coalesce(w.working, false) OR coalesce(o.updated_at >= %(began)s, false), o.order_id IS NOT NULL
      FROM ours u FULL JOIN listed_hold h USING (reservation_id)
           LEFT JOIN orders o ON o.order_id = coalesce(u.order_id, h.order_id)
           LEFT JOIN work w ON w.order_number = o.order_number
     ORDER BY 1"""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HoldList:
    """The filled table. since: what changed since then is on it; None: all. began: by the database."""

    connection: psycopg.AsyncConnection[TupleRow]
    since: datetime | None
    began: datetime

    async def pairs(self) -> AsyncIterator[HoldPair]:
        """Yield every hold that either side has. Call it in a transaction; only one iteration at a time."""
        since = None if self.since is None else self.since + CLOCKS
        async with AsyncExitStack() as stack:
            cursor = await stack.enter_async_context(self.connection.cursor(name="holds", binary=True))
            cursor.itersize = FETCH
            await cursor.execute(_PAIRS, {"since": since, "began": self.began})
            async for row in cursor:
                yield _pair(row)


async def read_holds(
    connection: psycopg.AsyncConnection[TupleRow], lists: InventoryLists, since: datetime | None, progress: Progress
) -> HoldList:
    """Read the list into a temporary table. The connection must be in autocommit, and is afterwards.

    Raises Transient if the inventory does not answer. progress: gets a line after each page.
    """
    for statement in _MAKE:
        await connection.execute(statement)
    row = await (await connection.execute(_NOW)).fetchone()
    assert row is not None
    read = 0
    async for holds in lists.holds(since):
        # One statement a page: a longer one would hold a snapshot while the inventory is asked.
        async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for hold in holds:
                await copy.write_row(_row(hold))
        read += len(holds)
        progress(f"{read} holds of the inventory's list")
    for statement in _DONE:
        await connection.execute(statement)
    return HoldList(connection, since, row[0])


def _row(hold: ListedHold) -> tuple[Any, ...]:
    lines, restocked = _written(hold.lines), _written(hold.restocked)
    return (hold.reservation_id, hold.order_id, str(hold.state), lines, restocked, hold.until)


def _written(lines: Mapping[str, int]) -> Any:
    return Jsonb(list(lines.items()), dumps=orjson.dumps)


def _pair(row: TupleRow) -> HoldPair:
    reservation_id, our, their, (working, known) = row[0], row[1:11], row[11:16], row[16:]
    ours = theirs = None
    if our[0] is not None:
        order_id, attempt, state, expires_at, pinned, lines, restocked, status, listed, given_up = our
        ours = OurHold(
            *(order_id, attempt, state, expires_at, pinned, dict(lines), dict(restocked), status, listed, given_up)
        )
    if their[0] is not None:
        order_id, state, lines, restocked, until = their
        theirs = TheirHold(order_id, TheirState(state), dict(lines), dict(restocked), until)
    return HoldPair(reservation_id, ours, theirs, working, known)

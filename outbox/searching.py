"""Finding orders that stand still, without an index on their status: such an index would be written at every step.

A low-water mark is kept: every order that was created before it is final. So a search reads from there on only, in the
order of creation, slice by slice, for a short time each turn; what lies behind comes next turn. The mark moves up while
it meets final orders only. Who takes an old order out of its final status moves the mark back (`LEFT_FINAL`), in the
same transaction, under the lock of the mark's row; and the mark moves up under that lock only, so neither overlooks the
other. At its start and once a day a search also walks through the whole table, some blocks a turn, and moves the mark
back to what it finds: there was no mark yet, or a hand, a restore or a bug made it wrong.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from domain.ids import OrderId
from domain.order import FINAL
from domain.ports.store import Change
from outbox.connections import begin

MARK: Final = "unfinished_orders"
MARK_BEHIND: Final = timedelta(minutes=30)
"""The mark stays so far behind: a transaction that began before may still commit an order that was created then."""
MOVED_BACK_FROM: Final = timedelta(minutes=15)
"""A younger order than this cannot lie below the mark. The difference is more than any transaction lasts."""
BUDGET_S: Final = 0.5
"""Of a turn, and one slice more. The sweep takes a turn a minute."""
PAGE: Final = 1_000
SLICE_MIN: Final = timedelta(hours=1)
SLICE_MAX: Final = timedelta(days=3_650)
SLICE_QUICK_S: Final = 0.05
SLICE_SLOW_S: Final = 0.25
WALK_BLOCKS: Final = 2_000
"""Some 40,000 orders, 16 MB."""
WALK_EVERY_S: Final = 86_400

_FINAL: LiteralString = "('paid_and_confirmed', 'payment_failed', 'manual_review')"

LEFT_FINAL: LiteralString = f"UPDATE low_water SET at = least(at, %s) WHERE name = '{MARK}'"
"""Writes the row even where it stays the same: its lock is what a search that moves the mark waits for."""
_MAKE: LiteralString = f"INSERT INTO low_water (name, at) VALUES ('{MARK}', now() - %s) ON CONFLICT DO NOTHING"
_NOW: LiteralString = f"SELECT now(), at FROM low_water WHERE name = '{MARK}'"
_LOCK: LiteralString = f"{_NOW} FOR UPDATE"
_MOVE: LiteralString = f"UPDATE low_water SET at = %s WHERE name = '{MARK}'"
_UNFINISHED: LiteralString = f"""
    SELECT o.order_id, o.created_at,
           o.updated_at < now() - make_interval(secs => %s)
           AND NOT EXISTS (SELECT FROM operation p WHERE p.order_number = o.order_number
                            AND p.state IN ('open', 'pending', 'unknown'))
           AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.waits AND d.order_id = o.order_id)
           AND NOT EXISTS (SELECT FROM quarantine q WHERE q.released_at IS NULL AND q.order_id = o.order_id)
      FROM orders o
     WHERE o.created_at >= %s AND o.created_at < %s AND (o.created_at, o.order_id) > (%s, %s)
       AND o.status NOT IN {_FINAL}
     ORDER BY o.created_at, o.order_id LIMIT {PAGE}"""


_WALK: LiteralString = f"""
    SELECT min(created_at) FROM orders
     WHERE ctid >= %s::tid AND ctid < %s::tid AND created_at < %s AND status NOT IN {_FINAL}"""
"""By the place in the file, which needs no index, and reads just these blocks."""
_BLOCKS: LiteralString = "SELECT pg_relation_size('orders') / current_setting('block_size')::int"


def left_final(changes: Iterable[Change], now: datetime) -> datetime | None:
    """Return when the oldest of those orders was created that leave a final status and may lie below the mark."""
    young = now - MOVED_BACK_FROM
    return min(
        (
            after.created_at
            for before, after in changes
            if after.created_at < young and after.status not in FINAL and before is not None and before.status in FINAL
        ),
        default=None,
    )


class _Place(NamedTuple):
    """Up to where a search has come. The orders of one transaction were created at the same moment."""

    created_at: datetime
    order_id: str = ""


class _Row(NamedTuple):
    """An order that is not final. stuck: nothing of it is open, unchanged for long, and not in quarantine."""

    order_id: OrderId
    created_at: datetime
    stuck: bool


class StuckSearch:
    """The search of one process. Several may search at once; each finds what there is."""

    def __init__(self) -> None:
        self._at: _Place | None = None
        self._slice = SLICE_MIN
        self._block: int | None = 0
        self._walk_at = 0.0
        self._time = asyncio.get_running_loop().time

    async def turn(self, connection: psycopg.AsyncConnection[Any], unchanged_s: float, limit: int) -> list[OrderId]:
        """Search on for a short time; return orders that stand still. Recent ones are found whatever else there is.

        The connection is in no transaction, and is given back so.
        """
        begun = self._time()
        await begin(connection)
        await connection.execute(_MAKE, [MARK_BEHIND])
        await connection.commit()
        while self._time() < begun + BUDGET_S / 2 and await self._walk(connection):
            pass
        until, mark = await _clock_and_mark(connection, _NOW)
        await connection.commit()
        place = self._at or _Place(mark)
        found: dict[OrderId, None] = {}
        while place.created_at < until and len(found) < limit and self._time() < begun + BUDGET_S:
            rows, place = await self._look(connection, unchanged_s, place, until)
            found |= dict.fromkeys(row.order_id for row in rows if row.stuck)
        # Those beyond the limit are found from the mark on, once somebody has taken these up.
        self._at = place if place.created_at < until and len(found) < limit else None
        if self._at is not None:
            rows = await _read(connection, unchanged_s, max(place, _Place(until - MARK_BEHIND)), until)
            await connection.commit()
            found |= dict.fromkeys(row.order_id for row in rows if row.stuck)
        return list(found)[:limit]

    async def _look(
        self, connection: psycopg.AsyncConnection[Any], unchanged_s: float, place: _Place, until: datetime
    ) -> tuple[list[_Row], _Place]:
        """Read the slice that begins here; move the mark if it stands here. Return the slice and where it ends."""
        begun = self._time()
        end = min(place.created_at + self._slice, until)
        now, mark = await _clock_and_mark(connection, _LOCK)
        if place != (mark, ""):
            await connection.commit()
        rows = await _read(connection, unchanged_s, place, end)
        if place == (mark, ""):
            # What was created last may not have been committed yet.
            first = rows[0].created_at if rows else end
            await connection.execute(_MOVE, [max(mark, min(first, now - MARK_BEHIND))])
        await connection.commit()
        if len(rows) == PAGE:
            return rows, _Place(rows[-1].created_at, rows[-1].order_id)
        self._adapt(self._time() - begun)
        return rows, _Place(end)

    def _adapt(self, took_s: float) -> None:
        """Have the next slice take a time that neither holds up others nor needs many statements."""
        if took_s < SLICE_QUICK_S:
            self._slice = min(self._slice * 8, SLICE_MAX)
        elif took_s > SLICE_SLOW_S:
            self._slice = max(self._slice / 2, SLICE_MIN)

    async def _walk(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Walk through some blocks of the table for orders below the mark; return whether there are more to walk."""
        if self._block is None:
            if self._time() < self._walk_at:
                return False
            self._block = 0
        _, mark = await _clock_and_mark(connection, _NOW)
        to = self._block + WALK_BLOCKS
        ((oldest,),) = await _all(connection, _WALK, [f"({self._block},0)", f"({to},0)", mark])
        ((blocks,),) = await _all(connection, _BLOCKS)
        if oldest is not None:
            await connection.execute(LEFT_FINAL, [oldest])
            self._at = None
        await connection.commit()
        self._block = to
        if to >= blocks:
            self._block, self._walk_at = None, self._time() + WALK_EVERY_S
        return self._block is not None


async def _clock_and_mark(connection: psycopg.AsyncConnection[Any], query: LiteralString) -> tuple[datetime, datetime]:
    """Return the database's time, and where the mark stands."""
    ((now, mark),) = await _all(connection, query)
    return now, mark


async def _read(
    connection: psycopg.AsyncConnection[Any], unchanged_s: float, place: _Place, end: datetime
) -> list[_Row]:
    rows = await _all(connection, _UNFINISHED, [unchanged_s, place.created_at, end, *place])
    return [_Row(OrderId(order_id), *rest) for order_id, *rest in rows]


async def _all(
    connection: psycopg.AsyncConnection[Any], query: LiteralString, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    if connection.info.transaction_status == TransactionStatus.IDLE:
        await begin(connection)
    return await (await connection.execute(query, values)).fetchall()

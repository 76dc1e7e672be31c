"""Finds orders that stand still, without an index on their status: such an index would be written at every step.

Every order that was created before the low-water mark is final. So a search reads from the mark on, in the order of
creation, slice by slice, for a short time each turn; the next turn goes on. While the search meets only final orders,
the mark moves up. A transaction that takes an old order out of a final status moves the mark back (`LEFT_FINAL`), under
the lock of the mark's row. The mark moves up under the same lock, and only if nobody has written it since the slice was
read. So neither overlooks the other, and a slow read does not hold the lock. At the process's start and once a day the
search also walks through the whole table, some blocks a turn, and moves the mark back to unfinished orders that it
finds: there may have been no mark, or a person, a restore or a bug made it wrong.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
import structlog
from psycopg.pq import TransactionStatus

from domain.alarms import Lasting
from domain.ids import OrderId
from domain.order import FINAL
from domain.ports.store import Change
from outbox.driver.connections import begin
from outbox.driver.session import Session
from outbox.driver.sqlstates import Family, family_of, first_line
from outbox.store.pace import LIMIT_S, SLICE_MIN, Pace

MARK: Final = "unfinished_orders"
MARK_BEHIND: Final = timedelta(minutes=30)
"""The mark stays so far behind now: an older transaction may still commit an order with its time of creation."""
MOVED_BACK_FROM: Final = timedelta(minutes=15)
"""An order younger than this cannot be below the mark. No transaction lasts as long as the difference."""
BUDGET_S: Final = 0.5
"""For a turn, plus one slice; the same again for recent orders. The sweep takes a turn a minute."""
PAGE: Final = 1_000
WALK_BLOCKS: Final = 2_000
"""Some 40,000 orders, 16 MB."""
WALK_EVERY_S: Final = 86_400

_FINAL: LiteralString = "('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')"
NOT_FINAL: Final[LiteralString] = f"status NOT IN {_FINAL}"

LEFT_FINAL: LiteralString = f"UPDATE low_water SET at = least(at, %s) WHERE name = '{MARK}'"
"""Writes the row even if it stays the same: a search that moves the mark waits for its lock."""
_MAKE: LiteralString = f"INSERT INTO low_water (name, at) VALUES ('{MARK}', now() - %s) ON CONFLICT DO NOTHING"
_NOW: LiteralString = f"SELECT now(), at, xmin::text FROM low_water WHERE name = '{MARK}'"
"""xmin: the mark's version. It changes with every write, even of the same time."""
_LOCK: LiteralString = f"{_NOW} FOR UPDATE"
_LIMIT: LiteralString = "SELECT set_config('statement_timeout', %s, true)"
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
"""By block numbers: this needs no index and reads only these blocks."""
_BLOCKS: LiteralString = "SELECT pg_relation_size('orders') / current_setting('block_size')::int"


def left_final(changes: Iterable[Change], now: datetime) -> datetime | None:
    """Return the oldest creation time of orders that leave a final status and may be below the mark."""
    young = now - MOVED_BACK_FROM
    return min(
        (
            c.after.created_at
            for c in changes
            if c.after.created_at < young
            and c.after.status not in FINAL
            and c.before is not None
            and c.before.status in FINAL
        ),
        default=None,
    )


class _Position(NamedTuple):
    """Where a search is. It needs the id too: orders of one transaction have the same time of creation."""

    created_at: datetime
    order_id: str = ""


class _Row(NamedTuple):
    """An order that is not final. stuck: it has no open operation, is unchanged for long, and not in quarantine."""

    order_id: OrderId
    created_at: datetime
    stuck: bool


class StuckSearch:
    """The search of one process. Several may search at once; each finds all orders. limit_s: for a slice, at first."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._at: _Position | None = None
        self._recent_at: _Position | None = None
        self._log = structlog.get_logger("outbox.searching")
        self._limit_s = limit_s
        self._reader, self._recent_reader = (_Reader(Pace(limit_s), Lasting(self._log, "search_slow")) for _ in "12")
        self._block: int | None = 0
        self._blocks = WALK_BLOCKS
        self._walk_at = 0.0
        self._time = asyncio.get_running_loop().time

    async def turn(self, connection: Session, unchanged_s: float, limit: int) -> list[OrderId]:
        """Search on for a short time; return orders that stand still. Finds recent ones even if it is far behind.

        The connection must be outside a transaction, and is so afterwards. A slice that takes too long is logged; the
        next turn reads it smaller or with more time.
        """
        await begin(connection)
        await connection.execute(_MAKE, [MARK_BEHIND])
        await connection.commit()
        await self._walk_on(connection)
        until, mark, _ = await _clock_and_mark(connection, _NOW)
        await connection.commit()
        found: dict[OrderId, None] = {}
        search = _Search(connection, unchanged_s, until, found, limit)
        self._at = await self._on(search, self._reader, self._at or _Position(mark))
        # Orders beyond the limit are found later: the next turn begins at the mark again.
        if len(found) >= limit:
            self._at = None
        recent = self._recent_at or _Position(until - MARK_BEHIND)
        self._recent_at = None
        if self._at is not None:
            self._recent_at = await self._on(search, self._recent_reader, max(self._at, recent))
        return list(found)[:limit]

    async def _on(self, search: "_Search", reader: "_Reader", position: _Position) -> _Position | None:
        """Read slice by slice from this position; return where the next turn goes on, None if all is read."""
        begun, pace = self._time(), reader.pace
        while position.created_at < search.until and len(search.found) < search.limit:
            at = self._time()
            try:
                rows, position = await self._look(search, pace, position)
            except psycopg.Error as error:
                if not _took_too_long(search.connection, error):
                    pace.slice = min(pace.slice, SLICE_MIN)
                    raise
                await search.connection.rollback()
                self._tell(reader, error)
                return position
            search.found.update(dict.fromkeys(row.order_id for row in rows if row.stuck))
            if len(rows) < PAGE:
                pace.record(self._time() - at)
            reader.slow.end(self._time(), "the search for orders that stand still is in time again")
            if self._time() >= begun + BUDGET_S:
                break
        return position if position.created_at < search.until else None

    async def _look(self, search: "_Search", pace: Pace, position: _Position) -> tuple[list[_Row], _Position]:
        """Read the slice that begins here; move the mark if it is here. Return the rows and where they end."""
        end = min(position.created_at + pace.slice, search.until)
        begun = self._time()
        while True:
            await _begin(search.connection, pace.limit_s)
            now, mark, version = await _clock_and_mark(search.connection, _NOW)
            rows = await _read(search, position, end)
            await search.connection.commit()
            # The latest orders may not be committed yet.
            to = min(rows[0].created_at if rows else end, now - MARK_BEHIND)
            moved = position != (mark, "") or await _move_up(search.connection, version, to)
            if moved or self._time() > begun + BUDGET_S:
                break
        if len(rows) == PAGE:
            return rows, _Position(rows[-1].created_at, rows[-1].order_id)
        return rows, _Position(end)

    def _tell(self, reader: "_Reader", error: psycopg.Error) -> None:
        hopeless = reader.pace.back_off()
        fields = {
            "slice_s": reader.pace.slice.total_seconds(),
            "limit_s": reader.pace.limit_s,
            "error": first_line(error),
        }
        text = "the search for orders that stand still took too long; it goes on next turn"
        if not (hopeless and reader.slow.again(self._time(), text, **fields)):
            self._log.warning(text, **fields)

    async def _walk_on(self, connection: Session) -> None:
        """Walk for a short time. If blocks take too long, the next turn takes fewer."""
        end = self._time() + BUDGET_S / 2
        try:
            while self._time() < end and await self._walk(connection):
                self._blocks = min(self._blocks * 2, WALK_BLOCKS)
        except psycopg.Error as error:
            self._blocks = max(self._blocks // 8, 1)
            if not _took_too_long(connection, error):
                raise
            await connection.rollback()
            self._log.warning("the walk through all orders took too long", blocks=self._blocks, error=first_line(error))

    async def _walk(self, connection: Session) -> bool:
        """Look for orders below the mark in some blocks of the table; return whether there are more blocks."""
        if self._block is None:
            if self._time() < self._walk_at:
                return False
            self._block = 0
        await _begin(connection, self._limit_s)
        _, mark, _ = await _clock_and_mark(connection, _NOW)
        to = self._block + self._blocks
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


class _Reader(NamedTuple):
    """The state of one of the two readers, of all orders and of recent ones. slow: the alarm if it gets nowhere."""

    pace: Pace
    slow: Lasting


class _Search(NamedTuple):
    """The parameters of one turn, and what it has found."""

    connection: Session
    unchanged_s: float
    until: datetime
    found: dict[OrderId, None]
    limit: int


def _took_too_long(connection: Session, error: psycopg.Error) -> bool:
    """Whether the server cancelled a statement and the session is still usable."""
    return not connection.closed and family_of(error) is Family.TOO_MUCH


async def _begin(connection: Session, limit_s: float) -> None:
    """Begin a transaction. The server cancels a statement that takes longer than limit_s."""
    await begin(connection)
    await connection.execute(_LIMIT, [f"{limit_s * 1000:.0f}"])


async def _move_up(connection: Session, version: str, to: datetime) -> bool:
    """Move the mark up, unless somebody has written it since that version: then the slice may be out of date.

    The slice is read before, without the lock: a slow read must not hold up transactions that take old orders out of a
    final status. These write the mark's row; this waits for those that have not ended.
    """
    _, mark, now_version = await _clock_and_mark(connection, _LOCK)
    if now_version == version:
        await connection.execute(_MOVE, [max(mark, to)])
    await connection.commit()
    return now_version == version


async def _clock_and_mark(connection: Session, query: LiteralString) -> tuple[datetime, datetime, str]:
    """Return the database's time, where the mark stands, and its version."""
    ((now, mark, version),) = await _all(connection, query)
    return now, mark, version


async def _read(search: _Search, position: _Position, end: datetime) -> list[_Row]:
    rows = await _all(search.connection, _UNFINISHED, [search.unchanged_s, position.created_at, end, *position])
    return [_Row(OrderId(order_id), *rest) for order_id, *rest in rows]


async def _all(connection: Session, query: LiteralString, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    if connection.info.transaction_status == TransactionStatus.IDLE:
        await begin(connection)
    return await (await connection.execute(query, values)).fetchall()

"""Notices of the gateway in the database: kept by the endpoint, sorted and asked about by the sweep.

Sorting locks orders and skips those that others have locked. So it waits for nobody.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from domain.ids import OperationId, OrderId
from domain.notices import OF_A_REFUND, Fate, Found, Money, Notice, Work, first_fate, judge, pause
from domain.operation import OperationState
from domain.ports.notices import Answered, Kept, Sorted
from domain.ways_out import OUTSIDE
from outbox.driver.batches import Column, batch, unnest, word
from outbox.driver.connections import Connections
from outbox.schema.mapping import TIME
from outbox.store.lent import lent_transaction

LIST_MARK: Final = "gateway_notices"
FIRST_LIST: Final = timedelta(days=1)
"""A database that has never read the gateway's list begins so far back."""
KEPT_DAYS: Final = 35
"""Longer than the gateway lists its events: what we deleted must not come again as new."""

_KEPT = (
    Column("notice_id"),
    word("type"),
    Column("occurred_at", TIME),
    Column("object_id"),
    Column("intent_id"),
    Column("order_id"),
    Column("operation_id", "uuid"),
    word("fate"),
)
_KEEP = batch(
    f"""
    INSERT INTO gateway_notice
           (notice_id, type, occurred_at, object_id, intent_id, order_id, operation_id, fate, due_at)
    SELECT notice_id, type, occurred_at, object_id, intent_id, order_id, operation_id, fate,
           CASE fate WHEN 'waiting' THEN now() END
      FROM {unnest(_KEPT)} ON CONFLICT DO NOTHING""",  # noqa: S608 - literals only
    _KEPT,
)
_WAITING: Final[LiteralString] = """
    SELECT notice_id, type, occurred_at, object_id, intent_id, order_id, operation_id, now() - received_at, now()
      FROM gateway_notice WHERE due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED"""
_LOCK: Final[LiteralString] = """
    SELECT order_id FROM orders WHERE order_id = ANY(%s) ORDER BY order_id FOR UPDATE SKIP LOCKED"""
_EXISTING: Final[LiteralString] = "SELECT order_id FROM orders WHERE order_id = ANY(%s)"
_WORK: Final[LiteralString] = """
    SELECT o.order_id, p.operation_id, p.transaction_id, p.state, p.due_at, p.due_at <= now(),
           p.xmin = o.xmin OR p.due_at > now() + make_interval(secs => %s)
      FROM orders o JOIN operation p USING (order_number)
     WHERE o.order_id = ANY(%s) AND p.kind IN ('authorize', 'capture', 'void', 'refund')
       AND CASE WHEN p.state IN ('open', 'pending', 'unknown') THEN true ELSE false END"""
"""A claim writes the operation's row and not the order's. So if one transaction wrote both rows last, nobody has
claimed the operation since; nor has anybody if it is due later than any lease ends."""
_MONEY: Final[LiteralString] = """
    SELECT o.order_id, a.transaction_id, a.authorized_minor, a.captured_minor,
           CASE WHEN a.captured_minor > 0 AND a.refunded_minor >= a.captured_minor
                THEN a.refunded_minor - coalesce(
                     (SELECT sum(p.amount_minor) FROM operation p
                       WHERE p.order_number = a.order_number AND p.attempt = a.attempt AND p.kind = 'refund'
                         AND p.state = 'approved' AND starts_with(p.reference, %s)), 0)::bigint
                ELSE a.refunded_minor END,
           a.voided
      FROM orders o JOIN attempt a USING (order_number)
     WHERE o.order_id = ANY(%s) AND a.transaction_id IS NOT NULL"""
"""What an operator paid past the gateway is still there, and may yet be refunded: looked for where all is back."""
_WOKEN = (word("order_id"), Column("operation_id", "uuid"), Column("due_at", TIME))
_WAKE = batch(
    f"""
    UPDATE operation p SET due_at = now()
      FROM {unnest(_WOKEN)} JOIN orders o USING (order_id)
     WHERE p.order_number = o.order_number AND p.operation_id = u.operation_id AND p.due_at = u.due_at""",  # noqa: S608 - literals only
    _WOKEN,
)
"""The due time is compared: a claim that was made meanwhile keeps its lease."""
_TOUCH: Final[LiteralString] = "UPDATE orders SET updated_at = updated_at WHERE order_id = ANY(%s)"
"""Whoever remembers the order reads it anew. The order itself has not changed."""
_SORTED = (Column("notice_id"), word("fate"), Column("due_at", TIME))
_SORT = batch(
    f"""
    UPDATE gateway_notice n SET fate = u.fate, due_at = u.due_at
      FROM {unnest(_SORTED)} WHERE n.notice_id = u.notice_id""",  # noqa: S608 - literals only
    _SORTED,
)
_CLAIM: Final[LiteralString] = """
    WITH due AS (
      SELECT notice_id FROM gateway_notice WHERE fate = 'kept' AND ask_at <= now()
       ORDER BY ask_at LIMIT %s FOR UPDATE SKIP LOCKED)
    UPDATE gateway_notice n SET ask_at = now() + make_interval(secs => %s)
      FROM due WHERE n.notice_id = due.notice_id
    RETURNING n.notice_id, type, occurred_at, object_id, intent_id, order_id, operation_id, now() - received_at,
              now()"""
_ANSWERED = (word("notice_id"), word("fate"), word("order_id"), Column("ask_at", TIME))
_ANSWER = batch(
    f"""
    UPDATE gateway_notice n SET fate = u.fate, order_id = coalesce(n.order_id, u.order_id), ask_at = u.ask_at
      FROM {unnest(_ANSWERED)} WHERE n.notice_id = u.notice_id AND n.fate = 'kept'""",  # noqa: S608 - literals only
    _ANSWERED,
)
"""One that an operator has closed meanwhile stays closed."""
_MARK: Final[LiteralString] = "SELECT at FROM low_water WHERE name = %s"
_MAKE_MARK: Final[LiteralString] = """
    INSERT INTO low_water (name, at) VALUES (%s, now() - %s) ON CONFLICT (name) DO NOTHING"""
_MOVE_MARK: Final[LiteralString] = "UPDATE low_water SET at = greatest(at, %s) WHERE name = %s"
_FORGET: Final[LiteralString] = f"""
    DELETE FROM gateway_notice WHERE notice_id IN (
      SELECT notice_id FROM gateway_notice
       WHERE received_at < now() - interval '{KEPT_DAYS} days'
         AND fate IN ('woken', 'known', 'foreign', 'unknown_order')
       ORDER BY received_at LIMIT %s)"""  # noqa: S608 - literals only


async def keep(connection: psycopg.AsyncConnection[Any], notices: Sequence[Notice]) -> int:
    """Keep notices in the transaction of this connection; return how many were not there yet."""
    # In the order of their ids: so two transactions with the same notices do not wait for each other in a circle.
    rows = [
        (n.notice_id, n.type, n.occurred_at, n.object_id, n.intent_id, n.order_id, n.operation_id, first_fate(n))
        for n in sorted(notices, key=lambda n: n.notice_id)
    ]
    return (await connection.execute(_KEEP.sql, _KEEP.arrays(rows))).rowcount


class _Waiting(NamedTuple):
    """A notice that is looked at. age: since we have it. now: the database's clock."""

    notice: Notice
    age: timedelta
    now: datetime


class _Operation(NamedTuple):
    """An unfinished operation of an order, and what its row says about its lease."""

    operation_id: OperationId
    transaction_id: str | None
    due_at: datetime | None
    work: Work


class PgNotices:
    """domain.ports.notices.Notices over PostgreSQL. Its connections may be shared with a store."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def keep(self, notices: Sequence[Notice]) -> int:
        """Insert those that are not there yet, all in one statement."""
        if not notices:
            return 0
        async with lent_transaction(self._connections) as connection:
            return await keep(connection, notices)

    async def sort(self, limit: int, lease_s: float) -> Sorted:
        """Decide about waiting notices, in one transaction."""
        async with lent_transaction(self._connections) as connection:
            waiting = [_read(row) for row in await _all(connection, _WAITING, [limit])]
            if not waiting:
                return Sorted({}, ())
            order_ids = sorted({w.notice.order_id for w in waiting if w.notice.order_id is not None})
            books = await _Books.read(connection, order_ids, lease_s)
            judged = [(w, judge(w.notice, w.age, books.found(w.notice))) for w in waiting]
            woken = [w.notice for w, fate in judged if fate is Fate.WOKEN]
            await _wake(connection, books, woken)
            rows = [(w.notice.notice_id, fate, _due(w, fate)) for w, fate in judged]
            await connection.execute(_SORT.sql, _SORT.arrays(rows))
        orphans = [w.notice for w, fate in judged if fate is Fate.UNKNOWN_ORDER]
        return Sorted(dict(Counter(fate for _, fate in judged)), orphans)

    async def claim_kept(self, limit: int, lease_s: float) -> Sequence[Kept]:
        """Put off, by lease_s, those that are due to be asked about."""
        async with lent_transaction(self._connections) as connection:
            rows = await _all(connection, _CLAIM, [limit, lease_s])
        return [Kept(*_read(row)) for row in rows]

    async def note_answers(self, answers: Sequence[Answered]) -> None:
        """Update all in one statement."""
        if answers:
            async with lent_transaction(self._connections) as connection:
                await connection.execute(_ANSWER.sql, _ANSWER.arrays([tuple(answer) for answer in answers]))

    async def listed_until(self) -> datetime:
        """Return the mark; make it if there is none."""
        async with lent_transaction(self._connections) as connection:
            await connection.execute(_MAKE_MARK, [LIST_MARK, FIRST_LIST])
            ((at,),) = await _all(connection, _MARK, [LIST_MARK])
        assert isinstance(at, datetime)
        return at

    async def set_listed_until(self, until: datetime) -> None:
        """Move the mark up."""
        async with lent_transaction(self._connections) as connection:
            await connection.execute(_MOVE_MARK, [until, LIST_MARK])

    async def forget_old(self, limit: int) -> int:
        """Delete some of those that were done with long ago. What was applied to an order stays in its timeline."""
        async with lent_transaction(self._connections) as connection:
            return (await connection.execute(_FORGET, [limit])).rowcount


class _Books:
    """What the database has about the orders of some notices. Orders that could be locked are locked."""

    def __init__(self, existing: set[str], locked: set[str]) -> None:
        self._existing = existing
        self._locked = locked
        self._operations: dict[str, list[_Operation]] = {}
        self._money: dict[tuple[str, str], Money] = {}

    @classmethod
    async def read(cls, connection: psycopg.AsyncConnection[Any], order_ids: Sequence[str], lease_s: float) -> "_Books":
        """Lock the orders that are free, then read their parts: so what is read is what their last holder wrote."""
        locked = {row[0] for row in await _all(connection, _LOCK, [order_ids])}
        existing = {row[0] for row in await _all(connection, _EXISTING, [order_ids])}
        books = cls(existing, locked)
        ids = sorted(locked)
        for order_id, operation_id, transaction_id, state, due_at, due, waits in await _all(
            connection, _WORK, [lease_s, ids]
        ):
            work = Work(OperationState(state), bool(due), bool(waits), due_at is None)
            operation = _Operation(OperationId(operation_id), transaction_id, due_at, work)
            books._operations.setdefault(order_id, []).append(operation)
        for order_id, transaction_id, *money in await _all(connection, _MONEY, [OUTSIDE, ids]):
            books._money[order_id, transaction_id] = Money(*money)
        return books

    def operation(self, notice: Notice) -> _Operation | None:
        """Return the unfinished operation that may be about the notice's transaction.

        An authorize that nobody has answered does not know its transaction yet. It is not the one of another attempt.
        A refund is no news for any other operation than its own: another one's look-up would not hear of it.
        """
        if notice.type in OF_A_REFUND:
            mine = self._operations.get(notice.order_id or "", ())
            return next((o for o in mine if o.operation_id == notice.operation_id), None)
        known = (notice.order_id or "", notice.intent_id or "") in self._money
        for operation in self._operations.get(notice.order_id or "", ()):
            if operation.transaction_id == notice.intent_id or (operation.transaction_id is None and not known):
                return operation
        return None

    def found(self, notice: Notice) -> Found:
        """Return what there is about a notice."""
        order_id = notice.order_id or ""
        if order_id not in self._existing:
            return Found(order_exists=False)
        operation = self.operation(notice)
        return Found(
            order_exists=True,
            free=order_id in self._locked,
            work=operation.work if operation else None,
            money=self._money.get((order_id, notice.intent_id or "")),
        )


async def _wake(connection: psycopg.AsyncConnection[Any], books: _Books, notices: Sequence[Notice]) -> None:
    """Make the operations of these notices due, each once; those that are due already stay as they are."""
    woken: dict[OperationId, tuple[OrderId, OperationId, datetime]] = {}
    for notice in notices:
        operation = books.operation(notice)
        if operation is not None and operation.due_at is not None and not operation.work.due:
            assert notice.order_id is not None
            woken[operation.operation_id] = (notice.order_id, operation.operation_id, operation.due_at)
    if woken:
        rows = list(woken.values())
        await connection.execute(_WAKE.sql, _WAKE.arrays(rows))
        await connection.execute(_TOUCH, [sorted({row[0] for row in rows})])


def _due(waiting: _Waiting, fate: Fate) -> datetime | None:
    return waiting.now + pause(waiting.age) if fate is Fate.WAITING else None


def _read(row: tuple[Any, ...]) -> _Waiting:
    *notice, age, now = row
    return _Waiting(Notice(*notice), age, now)


async def _all(
    connection: psycopg.AsyncConnection[Any], query: LiteralString, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, values)).fetchall()

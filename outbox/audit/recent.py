"""The audit of changed orders: every few minutes, in the database alone, at the cost of the orders that changed.

Orders that changed are those of new rows in the journal. Several processes may try: one run at a time, by an advisory
lock while it is claimed and a lease while it lasts. The rows of `audit_run` say what was looked at, and what was found.

Invariant 4 needs all orders, and so do the gateway's ledger and the topics: `payments audit` looks at those.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg.types.json import Json

from outbox.audit.books import FETCH, Books, Scope
from outbox.audit.judging import Found, judge_portion
from outbox.schema.partitions import oldest_day

NUMBERED: Final = (1, 2, 3, 5, 6, 7, 8, 9)
"""The invariants that it judges."""
PORTION: Final = 500
"""Orders of one snapshot: none lasts long."""
EVENTS_MAX: Final = 500_000
"""Rows of the journal that one run looks at."""
LEASE_S: Final = 600
AGAIN_MAX: Final = 1_000
"""So many violations are told once only, and looked at again until they are mended; and so many unsettled orders."""
KEPT_DAYS: Final = 7

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_xact_lock(hashtext('payments.audit'))"
_DUE: Final[LiteralString] = """
    SELECT NOT EXISTS (
      SELECT FROM (SELECT * FROM audit_run ORDER BY id DESC LIMIT 1) r
       WHERE CASE WHEN r.ended_at IS NULL THEN r.lease_until > now()
                  ELSE r.began_at > now() - make_interval(secs => %s) END)"""
_CLAIM: Final[LiteralString] = """
    WITH newest AS (SELECT coalesce((SELECT id FROM event ORDER BY id DESC LIMIT 1), 0) AS id),
    ended AS (SELECT * FROM audit_run WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1),
    -- All transactions that had drawn an id up to that run's newest event have ended: none can still commit one.
    settled AS (
      SELECT newest_event, began_at FROM audit_run
       WHERE newest_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
          OR newest_xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
       ORDER BY id DESC LIMIT 1),
    reach AS (
      SELECT n.id AS newest, coalesce((SELECT through_event FROM ended), n.id) AS after,
             greatest((SELECT newest_event FROM settled), (SELECT through_event FROM ended)) AS through,
             (SELECT began_at FROM settled) AS at, (SELECT reaches_to FROM ended) AS before
        FROM newest n),
    made AS (
      INSERT INTO audit_run (lease_until, newest_event, newest_xid, after_event, through_event, reaches_to)
      SELECT now() + make_interval(secs => %(lease_s)s), newest, pg_current_xact_id()::text::bigint, after,
             least(coalesce(through, after), after + %(most)s),
             CASE WHEN at IS NULL OR through > after + %(most)s THEN coalesce(before, now()) ELSE at END
        FROM reach
      RETURNING id, after_event, through_event)
    SELECT m.id, m.after_event, m.through_event, coalesce((SELECT again FROM ended), '{}'),
           coalesce((SELECT examples FROM ended), '{}') FROM made m"""
"""A run looks at what was there when an earlier one began. The first one begins with what comes after it.

newest_xid: of a database that was restored it may be ahead."""
_CHANGED: Final[LiteralString] = """
    SELECT DISTINCT order_number FROM event
     WHERE id > %s AND id <= %s AND order_version > 0 AND order_number IS NOT NULL"""
_NUMBERS: Final[LiteralString] = "SELECT order_number, order_id FROM orders WHERE order_id = ANY(%s)"
_IDS: Final[LiteralString] = "SELECT DISTINCT order_number, order_id FROM event WHERE order_number = ANY(%s)"
"""From the journal: `orders` has no index on the number."""
_END: Final[LiteralString] = """
    UPDATE audit_run SET ended_at = now(), orders = %s, found = %s, examples = %s, again = %s
     WHERE id = %s AND ended_at IS NULL"""
_FORGET: Final[LiteralString] = "DELETE FROM audit_run WHERE id < %s AND began_at < now() - make_interval(days => %s)"
_NOTE_REVIEWS: Final[LiteralString] = """
    INSERT INTO review (order_id, since)
    SELECT order_id, updated_at FROM orders WHERE order_id = ANY(%s) AND status = 'manual_review'
    ON CONFLICT DO NOTHING"""
"""Those that a release before 0016 began."""
_FORGET_REVIEWS: Final[LiteralString] = """
    DELETE FROM review r WHERE since < now() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM orders o WHERE o.order_id = r.order_id AND o.status = 'manual_review')"""


class Audited(NamedTuple):
    """A run. found: violations by the number of the invariant. examples: some of them. new: those not told before."""

    orders: int
    found: Mapping[int, int]
    examples: Sequence[str]
    new: Sequence[str]


class _Run(NamedTuple):
    """A claimed run, and what the one before left: orders to look at again, and violations that were told."""

    number: int
    after: int
    through: int
    again: Sequence[str]
    told: Sequence[str]


async def audit_changed(connection: psycopg.AsyncConnection[Any], scope: Scope, interval_s: float) -> Audited | None:
    """Audit the orders that changed, if the last run began interval_s ago. None: it is not due, or another one runs.

    The connection is in autocommit. Raises psycopg.Error if the database does not answer, Transient if the inbox has no
    partitions.
    """
    run = await _claim(connection, interval_s)
    if run is None:
        return None
    again = dict(await (await connection.execute(_NUMBERS, [list(run.again)])).fetchall())
    numbers = await _changed(connection, run, again)
    oldest = await oldest_day(connection)
    found = Found()
    for at in range(0, len(numbers), PORTION):
        portion = numbers[at : at + PORTION].tolist()
        orders = {number: again[number] for number in portion if number in again}
        orders |= dict(await (await connection.execute(_IDS, [portion])).fetchall())
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await judge_portion(Books(connection, scope, orders=orders), found, oldest)
        await connection.execute(_NOTE_REVIEWS, [list(orders.values())])
    await _end(connection, run, len(numbers), found)
    texts = [text for _, _, text in found.violations]
    new = [text for text in texts if text not in run.told]
    return Audited(len(numbers), found.counts(), texts[:AGAIN_MAX], new)


async def _claim(connection: psycopg.AsyncConnection[Any], interval_s: float) -> _Run | None:
    async with connection.transaction():
        for question, parameters in ((_LOCK, None), (_DUE, [interval_s])):
            row = await (await connection.execute(question, parameters)).fetchone()
            if row is None or not row[0]:
                return None
        claimed = await (await connection.execute(_CLAIM, {"lease_s": LEASE_S, "most": EVENTS_MAX})).fetchone()
    assert claimed is not None
    return _Run(*claimed)


async def _changed(connection: psycopg.AsyncConnection[Any], run: _Run, again: Mapping[int, str]) -> "array[int]":
    """Return the numbers of all orders to look at, each once, sorted. again: ids of those from before, by number.

    Numbers alone, for there may be 100,000s of orders.
    """
    numbers = array("q", again)
    async with connection.transaction(), connection.cursor(name="changed", binary=True) as cursor:
        cursor.itersize = FETCH
        await cursor.execute(_CHANGED, [run.after, run.through])
        async for (number,) in cursor:
            if number not in again:
                numbers.append(number)
    return array("q", sorted(numbers))


async def _end(connection: psycopg.AsyncConnection[Any], run: _Run, orders: int, found: Found) -> None:
    again = list(dict.fromkeys([*(order_id for _, order_id, _ in found.violations), *found.unsettled]))[:AGAIN_MAX]
    texts = [text for _, _, text in found.violations][:AGAIN_MAX]
    counts = Json({str(number): count for number, count in found.counts().items()})
    async with connection.transaction():
        await connection.execute(_END, [orders, counts, texts, again, run.number])
        await connection.execute(_FORGET, [run.number, KEPT_DAYS])
        await connection.execute(_FORGET_REVIEWS)

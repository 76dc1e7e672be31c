"""Where everything stands, as numbers: what the database knows of all orders together, for metrics.

Each query reads little: what is unfinished, what waits, what was said last. Ages are in seconds.
"""

from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from outbox.schema.mapping import BESIDE, ONE_AT_A_TIME
from outbox.store.quarantine import IN_QUARANTINE
from outbox.store.searching import MARK, NOT_FINAL

LIMIT_S: Final = 5
"""A query that takes longer is given up: metrics must not cost what orders need."""
_SETUP: Final[LiteralString] = f"SET LOCAL statement_timeout = '{LIMIT_S}s'"
_ORDERS: Final[LiteralString] = f"""
    WITH pending AS (SELECT DISTINCT order_number FROM operation
                      WHERE ({ONE_AT_A_TIME}) AND state = 'pending' AND kind = 'authorize'),
    waiting AS ({IN_QUARANTINE}),
    moving AS (
      SELECT o.order_number, o.status, o.attempt, coalesce(o.confirmed_at, o.created_at) AS since,
             CASE WHEN w.order_id IS NOT NULL THEN 'operator'
                  WHEN o.status = 'action_required' THEN 'customer'
                  WHEN p.order_number IS NOT NULL THEN 'bank' ELSE 'us' END AS waits_for
        FROM orders o LEFT JOIN pending p USING (order_number) LEFT JOIN waiting w USING (order_id)
       WHERE o.created_at >= coalesce((SELECT at FROM low_water WHERE name = '{MARK}'), now() - interval '1 day')
         AND {NOT_FINAL}),
    begun AS (
      SELECT status, waits_for,
             CASE WHEN attempt = 1 THEN since ELSE coalesce(
               (SELECT min(p.opened_at) FROM operation p
                 WHERE p.order_number = moving.order_number AND p.attempt = moving.attempt), since) END AS since
        FROM moving)
    SELECT status, waits_for, count(*), extract(epoch FROM now() - min(since))::float8 FROM begun GROUP BY 1, 2"""  # noqa: S608 - literals only
"""From the mark of the search for orders that stand still: all that are older are final."""
_OPERATIONS: Final[LiteralString] = f"""
    SELECT kind, state, count(*), coalesce(extract(epoch FROM now() - min(unknown_since)), 0)::float8
      FROM operation WHERE ({ONE_AT_A_TIME}) OR ({BESIDE}) GROUP BY 1, 2"""  # noqa: S608 - literals only
_OUTBOX: Final[LiteralString] = """
    SELECT coalesce(sum(cardinality(event_ids)), 0)::bigint,
           coalesce((SELECT extract(epoch FROM now() - e.occurred_at) FROM event e
                      WHERE e.id = (SELECT event_ids[1] FROM outbox ORDER BY id LIMIT 1)), 0)::float8
      FROM outbox"""
_LETTERS: Final[LiteralString] = """
    SELECT topic, reason, count(*) FROM dead_letter WHERE redriven_at IS NULL GROUP BY 1, 2"""
_QUARANTINE: Final[LiteralString] = """
    SELECT 'letter', count(*) FROM dead_letter WHERE waits
    UNION ALL SELECT kind, count(*) FROM quarantine WHERE released_at IS NULL GROUP BY 1"""
_REVIEWS: Final[LiteralString] = """
    SELECT coalesce(o.review_reason, ''), count(*), extract(epoch FROM now() - min(r.since))::float8
      FROM review r JOIN orders o USING (order_id) WHERE o.status = 'manual_review' GROUP BY 1"""
_MESSAGES: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM message WHERE due_at IS NOT NULL),
           (SELECT count(*) FROM message WHERE state = 'given_up')"""
_AUDIT: Final[LiteralString] = """
    SELECT found, orders, extract(epoch FROM now() - reaches_to)::float8 FROM audit_run
     WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1"""


class Audited(NamedTuple):
    """The last audit of changed orders. found: violations by invariant. age_s: what changed before is judged."""

    found: dict[int, int]
    orders: int
    age_s: float


class Standing(NamedTuple):
    """What the database knows. Tuples are rows: labels first, then the number, then the age of the oldest, if any.

    orders: status, whom it waits for. operations: kind, state; the age is that of unknown ones. letters: topic, reason.
    messages: to customers, waiting and given up. audited: None if none has ended yet.
    """

    orders: list[tuple[str, str, int, float]]
    operations: list[tuple[str, str, int, float]]
    outbox: tuple[int, float]
    letters: list[tuple[str, str, int]]
    quarantine: list[tuple[str, int]]
    reviews: list[tuple[str, int, float]]
    messages: tuple[int, int]
    audited: Audited | None


async def read_standing(connection: psycopg.AsyncConnection[Any]) -> Standing:
    """Read it, in one snapshot. The connection is in autocommit.

    Raises psycopg.Error if the database does not answer.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute(_SETUP)
        audits = await _rows(connection, _AUDIT)
        return Standing(
            orders=await _rows(connection, _ORDERS),
            operations=await _rows(connection, _OPERATIONS),
            outbox=(await _rows(connection, _OUTBOX))[0],
            letters=await _rows(connection, _LETTERS),
            quarantine=await _rows(connection, _QUARANTINE),
            reviews=await _rows(connection, _REVIEWS),
            messages=(await _rows(connection, _MESSAGES))[0],
            audited=_audited(*audits[0]) if audits else None,
        )


async def _rows(connection: psycopg.AsyncConnection[Any], query: LiteralString) -> list[Any]:
    return await (await connection.execute(query)).fetchall()


def _audited(found: dict[str, int], orders: int, age_s: float) -> Audited:
    return Audited({int(number): count for number, count in found.items()}, orders, age_s)

"""Events of the journal that are put into the outbox once more, after Kafka has lost a topic.

The relay makes the same message of a journal row each time: key and headers follow from the row, the body is kept.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from outbox.store.statements import OUTBOX_ROW, WAKE
from outbox.store.unseen import MARGIN, first_near

BATCH: Final = 50_000
"""Ids of the journal that one statement goes through."""
LOCK_WAIT: Final = "10s"
_CHOSEN: LiteralString = """
    SELECT id, topic FROM event
     WHERE id >= %(begin)s AND id < %(end)s AND topic = ANY(%(topics)s) AND occurred_at >= %(since)s
       AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s) AND id <> ALL(%(waiting)s::bigint[])
    UNION ALL SELECT id, topic FROM event WHERE id = ANY(%(waiting)s::bigint[])"""
_COUNT: Final[LiteralString] = f"SELECT topic, count(*) FROM ({_CHOSEN}) chosen GROUP BY topic"  # noqa: S608 - literals
_SEND: Final[LiteralString] = f"""
    WITH chosen AS MATERIALIZED ({_CHOSEN}),
      sent AS (
        INSERT INTO outbox (event_ids)
        SELECT array_agg(id ORDER BY id)
          FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM chosen) numbered
         GROUP BY n / {OUTBOX_ROW} ORDER BY n / {OUTBOX_ROW})
    SELECT topic, count(*) FROM chosen GROUP BY topic"""  # noqa: S608 - literals only
_END: Final[LiteralString] = "SELECT coalesce(max(id), 0) + 1 FROM event"
_WAIT_FOR_LOCK: Final[LiteralString] = "SELECT set_config('lock_timeout', %s, true)"
_LOCK: Final[LiteralString] = "LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE"
"""Decisions wait until the commit. So their events come behind these: a row's number is drawn under their own lock."""
_WAITING: Final[LiteralString] = """
    SELECT e.id FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
     WHERE e.topic = ANY(%s) ORDER BY e.id"""
_TAKE_OUT: Final[LiteralString] = """
    WITH kept AS (
      SELECT o.id, coalesce(array_agg(e.id ORDER BY e.id) FILTER (WHERE e.topic <> ALL(%(topics)s)), '{}') AS event_ids
        FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
       GROUP BY o.id HAVING bool_or(e.topic = ANY(%(topics)s)))
    UPDATE outbox SET event_ids = kept.event_ids FROM kept WHERE outbox.id = kept.id"""
_FORGET_EMPTY: Final[LiteralString] = "DELETE FROM outbox WHERE event_ids = '{}'"


class Window(NamedTuple):
    """Of which topics, with the prefix, and of which time by occurred_at: since is included, until is not."""

    topics: Sequence[str]
    since: datetime
    until: datetime | None


async def republish(
    connection: psycopg.AsyncConnection[Any], window: Window, progress: Callable[[int], None], *, dry_run: bool
) -> Mapping[str, int]:
    """Put the events of the window into the outbox once more; return how many of each topic.

    All of it is one transaction, so that nothing is sent before all is there. What waits in the outbox for these
    topics, of whatever time, is taken out and put in at its place: each message is there once, those of an order in
    order. progress: is told how many there are so far.
    """
    found: Counter[str] = Counter()
    async with connection.transaction():
        if not dry_run:
            await connection.execute(_WAIT_FOR_LOCK, [LOCK_WAIT])
            await connection.execute(_LOCK)
        waiting = [number for (number,) in await (await connection.execute(_WAITING, [window.topics])).fetchall()]
        if not dry_run:
            await connection.execute(_TAKE_OUT, {"topics": window.topics})
            await connection.execute(_FORGET_EMPTY)
        cursor = connection.cursor(binary=True)
        first = await first_near(cursor, (window.since - MARGIN).date())
        ((end,),) = await (await cursor.execute(_END)).fetchall()
        done = 0
        for begin, behind in _ranges(first, end):
            upto = bisect_left(waiting, behind)
            parameters = {**window._asdict(), "begin": begin, "end": behind, "waiting": waiting[done:upto]}
            done = upto
            rows = await (await connection.execute(_COUNT if dry_run else _SEND, parameters)).fetchall()
            found.update(dict(rows))
            progress(found.total())
        if not dry_run:
            await connection.execute(WAKE)
    return {topic: found[topic] for topic in window.topics}


def _ranges(first: int, end: int) -> list[tuple[int, int]]:
    """Return an empty range before the first id, then those up to the end."""
    begins = range(first, end, BATCH)
    return [(first, first), *((begin, min(begin + BATCH, end)) for begin in begins)]

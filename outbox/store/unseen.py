"""Events of ours that a consumer group has not processed: sent again after messages of a topic were lost."""

from datetime import date, timedelta
from typing import Any, Final, LiteralString

import psycopg

from outbox.store.statements import OUTBOX_ROW

MARGIN: Final = timedelta(days=1)
"""Ids are drawn nearly in the order of time. No transaction is off by more than this."""
NEAR_ENOUGH: Final = 10_000
"""The search for the first id may stop so many ids before it."""

_SETTINGS: Final[LiteralString] = """
    SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),
           set_config('enable_mergejoin', 'on', true), set_config('statement_timeout', '100000', true)"""
"""For the rest of this transaction: the usual settings suit single orders, and this reads two weeks of events."""
_BOUNDS: Final[LiteralString] = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM event"
_NEXT: Final[LiteralString] = "SELECT occurred_at FROM event WHERE id >= %s ORDER BY id LIMIT 1"
_SEND: Final[LiteralString] = f"""
    WITH unseen AS (
      SELECT e.id, row_number() OVER (ORDER BY e.id) - 1 AS n FROM event e
       WHERE e.id >= %s AND e.topic = %s AND (e.occurred_at AT TIME ZONE 'UTC')::date >= %s
         AND NOT EXISTS (SELECT FROM inbox i WHERE i.day = (e.occurred_at AT TIME ZONE 'UTC')::date
                            AND i.consumer_group = %s AND i.event_id = e.event_id)
         AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.consumer_group = %s AND d.event_id = e.event_id)
         AND NOT EXISTS (SELECT FROM (SELECT unnest(event_ids) AS id FROM outbox) o WHERE o.id = e.id)),
      sent AS (
        INSERT INTO outbox (event_ids)
        SELECT array_agg(id ORDER BY id) FROM unseen GROUP BY n / {OUTBOX_ROW} ORDER BY n / {OUTBOX_ROW})
    SELECT count(*) FROM unseen"""  # noqa: S608 - literals only
"""Nobody knows which of them were lost. Those that only wait to be read come twice, without effect."""


async def send_unseen(connection: psycopg.AsyncConnection[Any], group: str, topic: str, oldest: date) -> int:
    """Put those of the day `oldest` and later into the outbox once more; return how many."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(_SETTINGS)
    begin = await first_near(cursor, oldest - MARGIN)
    ((count,),) = await (await cursor.execute(_SEND, [begin, topic, oldest, group, group])).fetchall()
    return int(count)


async def first_near(cursor: psycopg.AsyncCursor[Any], day: date) -> int:
    """Return an id a little before all events of this day and later. There is no index on their time."""
    ((low, high),) = await (await cursor.execute(_BOUNDS)).fetchall()
    while high - low > NEAR_ENOUGH:
        middle = (low + high) // 2
        row = await (await cursor.execute(_NEXT, [middle])).fetchone()
        if row is not None and row[0].date() < day:
            low = middle
        else:
            high = middle
    return int(low)

"""Whether the pipeline is quiescent: nothing open, nothing to send, nothing sent that its reaction has not seen.

A pending refund does not count: the bank may take weeks. Nor does a payment that a bank still processes although its
order has failed. Nor does what waits for an operator: an operation, or an order in quarantine. The expensive query runs
only if the cheap ones found nothing: `--wait` asks often.
"""

from typing import Any, Final, LiteralString

import psycopg

from outbox.audit.books import Scope
from outbox.schema.mapping import BESIDE, ONE_AT_A_TIME
from outbox.schema.partitions import oldest_day
from outbox.store.quarantine import IN_QUARANTINE
from schemas.texts import counted

_UNSENT: Final[LiteralString] = """
    SELECT (SELECT coalesce(sum(cardinality(event_ids)), 0)::bigint FROM outbox)
         - (SELECT count(DISTINCT e.id)
              FROM quarantine q JOIN event first ON first.id = q.message_id
              JOIN event e ON e.topic = first.topic AND (e.id = first.id OR e.order_number = first.order_number)
              JOIN (SELECT unnest(event_ids) AS id FROM outbox) o ON o.id = e.id
             WHERE q.kind = 'message' AND q.released_at IS NULL)"""
"""Without the messages that the relay holds behind one in quarantine."""
_OPEN: Final[LiteralString] = f"""
    SELECT count(*) FROM operation p
     WHERE (({ONE_AT_A_TIME}) OR ({BESIDE})) AND due_at IS NOT NULL
       AND NOT (kind = 'refund' AND state = 'pending')
       AND NOT (state = 'pending' AND (kind = 'authorize' OR (kind = 'void' AND amount_minor = 0))
                AND EXISTS (SELECT FROM orders o
                             WHERE o.order_number = p.order_number AND o.status IN ('payment_failed', 'cancelled')))"""  # noqa: S608 - literals only
_MOVING: Final[LiteralString] = f"""
    SELECT status, count(*) FROM orders
     WHERE status NOT IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
       AND order_id NOT IN ({IN_QUARANTINE}) GROUP BY status ORDER BY status"""  # noqa: S608 - literals only
_UNSEEN: Final[LiteralString] = """
    SELECT r.consumer_group, count(*)
      FROM event e
      JOIN unnest(%s::text[], %s::text[]) AS r(topic, consumer_group) ON r.topic = e.topic
     WHERE (e.occurred_at AT TIME ZONE 'UTC')::date >= %s
       AND NOT EXISTS (SELECT FROM inbox i WHERE i.day = (e.occurred_at AT TIME ZONE 'UTC')::date
                          AND i.consumer_group = r.consumer_group AND i.event_id = e.event_id)
       AND NOT EXISTS (SELECT FROM dead_letter d
                        WHERE d.consumer_group = r.consumer_group AND d.event_id = e.event_id)
       AND NOT EXISTS (SELECT FROM (SELECT unnest(event_ids) AS id FROM outbox) o WHERE o.id = e.id)
     GROUP BY r.consumer_group ORDER BY r.consumer_group"""


async def unfinished_work(connection: psycopg.AsyncConnection[Any], scope: Scope) -> tuple[str, ...]:
    """Return what is still under way, a text each; empty if nothing is. Raises Transient without inbox partitions."""
    found = []
    texts = (
        (_UNSENT, "message is still to be sent", "messages are still to be sent"),
        (_OPEN, "operation has no outcome yet", "operations have no outcome yet"),
    )
    for query, one, many in texts:
        row = await (await connection.execute(query)).fetchone()
        if row is not None and row[0]:
            found.append(counted(row[0], one, many))
    moving = await (await connection.execute(_MOVING)).fetchall()
    found += [f"{counted(count, 'order is', 'orders are')} {status}" for status, count in moving]
    if found:
        return tuple(found)
    topics = [scope.prefix + event_type for event_type in scope.groups]
    oldest = await oldest_day(connection)
    unseen = await (await connection.execute(_UNSEEN, [topics, list(scope.groups.values()), oldest])).fetchall()
    return tuple(f"{group} has not seen {counted(count, 'event')}" for group, count in unseen)

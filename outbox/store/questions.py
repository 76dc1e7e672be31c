"""Queries off the hot path: of the sweep, a blocked consumer, a late answer. Each has a limit or a key."""

from collections.abc import Sequence
from typing import Final, LiteralString

from domain.disputing import KnownDispute
from domain.ids import OperationId, OrderId
from domain.operation import Operation, OperationState
from domain.pending import AT_CUSTOMER
from outbox.schema.mapping import BESIDE, DISPUTES, ONE_AT_A_TIME, OPERATIONS
from outbox.store.statements import HISTORY
from outbox.store.wire import Wire

LAPSED_HOLDS: Final[LiteralString] = """
    SELECT DISTINCT order_id FROM reservation r
     WHERE state = 'held' AND NOT pinned AND expires_at <= now()
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = r.order_id AND q.released_at IS NULL AND q.kind = 'order')
     LIMIT %s"""
"""Goods of an order in quarantine are released too, unless that release raised."""
SHORT_HOLDS: Final[LiteralString] = f"""
    SELECT DISTINCT p.order_id
      FROM (SELECT * FROM operation WHERE {ONE_AT_A_TIME} AND kind IN ('capture', 'confirm')) p
           JOIN reservation r USING (order_number, attempt)
     WHERE r.state = 'held' AND r.pinned AND r.expires_at <= now() + make_interval(secs => %s)
       AND NOT EXISTS (SELECT FROM (SELECT * FROM operation WHERE ({BESIDE}) AND kind = 'extend') e
                        WHERE e.order_number = p.order_number)
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = p.order_id AND q.released_at IS NULL AND q.kind = 'order')
     LIMIT %s"""  # noqa: S608 - literals only
"""Holds in an inventory elsewhere that lapse soon, though a capture or a confirmation is under way."""
UNAPPROVED: Final[LiteralString] = """
    SELECT DISTINCT order_id FROM order_request r
     WHERE state = 'approval' AND noted_at < now() - make_interval(secs => %s)
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = r.order_id AND q.released_at IS NULL AND q.kind = 'order')
     LIMIT %s"""
DELAYED_ORDERS: Final[LiteralString] = f"""
    SELECT o.order_id
      FROM operation p JOIN orders o ON o.order_id = p.order_id
     WHERE (({ONE_AT_A_TIME} AND kind <> 'refund') OR (({BESIDE}) AND kind = 'extend'))
       AND p.opened_at <= now() - make_interval(secs => %s)
       AND (p.detail IS DISTINCT FROM '{AT_CUSTOMER}'
            OR NOT EXISTS (SELECT FROM attempt a
                            WHERE a.order_number = p.order_number AND a.attempt = p.attempt
                              AND a.action_expires_at > now() - make_interval(secs => %s)))
       AND NOT o.delay_notified
       AND o.status NOT IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = o.order_id AND q.released_at IS NULL AND q.kind = 'order')
     ORDER BY p.opened_at LIMIT %s"""  # noqa: S608 - literals only
"""Uses the indexes of unfinished operations. They are few except in an outage. A customer who has time to confirm the
payment knows what it waits for."""
_UNCHANGED: Final[LiteralString] = """
    SELECT order_id FROM orders WHERE order_id = ANY(%s) AND updated_at < now() - make_interval(secs => %s)"""
END_FROZEN: Final[LiteralString] = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
       AND application_name = current_setting('application_name')
       AND state = 'active' AND wait_event = 'ClientRead'
       AND greatest(xact_start, state_change) < clock_timestamp() - make_interval(secs => %s)"""
"""The server waits for its client in a COPY or a pipeline: none of its time-outs ends a session in that state."""
PASSED: Final[LiteralString] = """
    SELECT id, from_offset, to_offset, reason, by, applied_at IS NOT NULL FROM passed_stretch
     WHERE consumer_group = %s AND topic = %s AND (topic_id = '' OR %s IN ('', topic_id)) AND partition = %s
       AND from_offset <= %s AND to_offset >= %s
     ORDER BY applied_at IS NULL DESC, id DESC LIMIT 1"""
HAS_LETTER: Final[LiteralString] = """
    SELECT 1 FROM dead_letter
     WHERE consumer_group = %s AND topic = %s AND partition = %s AND message_offset = %s AND origin = %s"""
KNOWN_BEFORE: Final[LiteralString] = """
    SELECT transaction_id FROM attempt
     WHERE order_number < (SELECT order_number FROM orders WHERE order_id = %s) AND transaction_id IS NOT NULL
     ORDER BY order_number DESC, attempt DESC LIMIT 3"""
"""By the primary key, backwards: most attempts have a transaction."""
_STATES: Final[LiteralString] = """
    SELECT p.operation_id, p.state, p.detail FROM orders o JOIN operation p USING (order_number)
     WHERE o.order_id = ANY(%s) AND p.operation_id = ANY(%s)"""

_DISPUTES: Final[LiteralString] = f"""
    SELECT {DISPUTES.select("d")} FROM dispute d WHERE d.order_number = %s ORDER BY d.opened_at, d.dispute_id"""  # noqa: S608 - literals only


async def states(
    wire: Wire, operations: Sequence[tuple[OrderId, OperationId]]
) -> dict[OperationId, tuple[OperationState, str | None]]:
    """Return state and detail of these operations, finished or not."""
    order_ids, ids = [list(column) for column in zip(*operations, strict=True)]
    found = await wire.query(_STATES, [order_ids, ids])
    return {OperationId(row[0]): (OperationState(row[1]), row[2]) for row in found}


async def history(wire: Wire, order_number: int) -> Sequence[Operation]:
    """Return all operations of this order, in the order of their opening."""
    return [OPERATIONS.load(row) for row in await wire.query(HISTORY, [order_number])]


async def disputes(wire: Wire, order_number: int) -> Sequence[KnownDispute]:
    """Return the disputes of this order, in the order of their opening."""
    return [DISPUTES.load(row) for row in await wire.query(_DISPUTES, [order_number])]


async def unchanged(wire: Wire, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
    """Return those of these orders that nobody has changed for so long."""
    return {OrderId(row[0]) for row in await wire.query(_UNCHANGED, [list(order_ids), for_s])}

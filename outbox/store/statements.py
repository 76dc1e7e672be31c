"""The statements of the hot path: one for a whole batch. Those over the columns of values are in mapping.py."""

from typing import Final, LiteralString

from outbox.driver.batches import Column, batch, insert, unnest, word
from outbox.journal.waking import CHANNEL
from outbox.schema.mapping import (
    ATTEMPTS,
    BESIDE,
    DISPUTES,
    HOLDS,
    NUMBER,
    ONE_AT_A_TIME,
    OPERATIONS,
    ORDERS,
    REQUESTS,
    TIME,
)

WAKE: LiteralString = f"NOTIFY {CHANNEL}"

INSERT_NOTIFICATIONS = insert(
    "notification",
    [
        Column("event_id", "uuid"),
        Column("order_id"),
        Column("customer_id"),
        word("kind"),
        Column("text"),
        Column("occurred_at", TIME),
        Column("stale", "boolean"),
    ],
    "ON CONFLICT DO NOTHING",
)

BEGIN: LiteralString = """
    SELECT now(), pg_current_xact_id()::xid, NULL AS order_id, NULL::bigint AS order_number, NULL::xid AS xmin
    UNION ALL
    SELECT NULL, NULL, o.order_id, o.order_number, o.xmin
      FROM (SELECT order_id, order_number, xmin FROM orders WHERE order_id = ANY(%s)
             ORDER BY order_id FOR UPDATE) o"""
"""Row 1: now() and the transaction id, once because a time is slow to parse. Other rows: the locked orders."""
LOAD_ORDERS: LiteralString = f"SELECT {ORDERS.select('o')}, o.requests FROM orders o WHERE o.order_id = ANY(%s)"
LOAD_ATTEMPTS: LiteralString = f"""
    SELECT a.order_id, {ATTEMPTS.select("a")}
      FROM attempt a WHERE a.order_number = ANY(%s) ORDER BY a.order_number, a.attempt"""
LOAD_OPERATIONS: LiteralString = f"""
    SELECT o.order_id, {OPERATIONS.select("o")} FROM operation o
     WHERE o.order_number = ANY(%s) AND CASE WHEN o.state IN ('open', 'pending', 'unknown') THEN true ELSE false END"""
LOAD_HOLDS: LiteralString = f"""
    SELECT h.order_id, {HOLDS.select("h")}
      FROM reservation h WHERE h.order_number = ANY(%s) ORDER BY h.order_number, h.attempt"""
LOAD_REQUESTS: LiteralString = f"""
    SELECT r.order_id, {REQUESTS.select("r")}
      FROM order_request r WHERE r.order_number = ANY(%s) ORDER BY r.order_number, r.arrival"""
"""Rows of an order's parts begin with the order's id."""
DRAW_ORDER_NUMBERS: LiteralString = "SELECT nextval('order_number_seq')"
"""The first of BLOCK numbers: the sequence's increment."""

_CLAIM: LiteralString = f"""
    UPDATE operation o SET due_at = now() + make_interval(secs => %s)
      FROM due
     WHERE o.order_number = due.order_number AND o.attempt = due.attempt AND o.kind = due.kind
       AND o.try_number = due.try_number AND o.for_request = due.for_request
    RETURNING {OPERATIONS.select("o")},
      (SELECT t.token FROM attempt t WHERE t.order_number = o.order_number AND t.attempt = o.attempt)"""
FROM_NUMBER: LiteralString = "order_number >= %s"
OF_NUMBERS: LiteralString = "order_number = ANY(%s)"


def claim_due(bounds: LiteralString) -> LiteralString:
    """Make the claim at the gateway. bounds: of the order numbers.

    A capture does not begin while its hold in an inventory elsewhere may lapse under the lease: first the other side
    says what became of the hold, see SHORT_HOLDS.
    """
    return f"""
    WITH due AS (
      SELECT order_number, attempt, kind, try_number, for_request FROM operation p
       WHERE (({ONE_AT_A_TIME}) OR ({BESIDE})) AND due_at <= now() AND {bounds}
         AND kind NOT IN ('reserve', 'confirm', 'release', 'extend', 'restock')
         AND NOT (kind = 'capture' AND state = 'open'
                  AND EXISTS (SELECT FROM reservation r
                               WHERE r.order_number = p.order_number AND r.attempt = p.attempt
                                 AND r.extensions > 0 AND r.state = 'held' AND r.pinned
                                 AND r.expires_at <= now() + make_interval(secs => %s)))
       ORDER BY due_at LIMIT %s FOR UPDATE OF p SKIP LOCKED)
    {_CLAIM}"""


def claim_stock_calls(bounds: LiteralString) -> LiteralString:
    """Make the claim at an inventory elsewhere. bounds: of the order numbers."""
    return f"""
    WITH due AS (
      SELECT order_number, attempt, kind, try_number, for_request FROM operation
       WHERE (({ONE_AT_A_TIME}) OR ({BESIDE})) AND due_at <= now() AND {bounds}
         AND kind IN ('reserve', 'confirm', 'release', 'extend', 'restock')
       ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    {_CLAIM}"""


NEWEST_NUMBER: LiteralString = "SELECT order_number FROM operation ORDER BY order_number DESC LIMIT 1"


def unfinished_below(bounds: LiteralString) -> LiteralString:
    """Make the look for the lowest order numbers that have an unfinished operation. bounds: of the order numbers.

    The first part keeps the planner from walking over the primary key, in the order that is asked for.
    """
    return f"""
    WITH unfinished AS MATERIALIZED (
      SELECT order_number FROM operation
       WHERE (({ONE_AT_A_TIME}) OR ({BESIDE})) AND {bounds} AND order_number < %s)
    SELECT DISTINCT order_number FROM unfinished ORDER BY order_number LIMIT %s"""


_LEASE = (word("order_id"), Column("operation_id", "uuid"), Column("due_at", TIME))
GIVE_BACK = batch(
    # A lease is identified by its end: if another process has claimed the operation since, its lease has another end.
    f"""
    UPDATE operation p SET due_at = now()
      FROM {unnest(_LEASE)} JOIN orders o USING (order_id)
     WHERE p.order_number = o.order_number AND p.operation_id = u.operation_id AND p.due_at = u.due_at
       AND CASE WHEN p.state IN ('open', 'pending', 'unknown') THEN p.due_at > now() ELSE false END""",
    _LEASE,
)
HISTORY: LiteralString = f"""
    SELECT {OPERATIONS.select("o")} FROM operation o WHERE o.order_number = %s
     ORDER BY o.opened_at, o.attempt, o.try_number, o.kind"""
INSERT_RESOLUTION: LiteralString = """
    INSERT INTO resolution (order_id, review_reason, word, reference, reason, by) VALUES (%s, %s, %s, %s, %s, %s)"""
_DISPUTE_SETS: LiteralString = ", ".join([f"{c.name} = EXCLUDED.{c.name}" for c in DISPUTES.state])
KEEP_DISPUTES = insert(
    DISPUTES.name, DISPUTES.columns, f"ON CONFLICT (order_number, dispute_id) DO UPDATE SET {_DISPUTE_SETS}"
).batch
APPLY_PASSED: LiteralString = """
    UPDATE passed_stretch SET applied_at = now() WHERE id = ANY(%s) AND applied_at IS NULL"""
SEND_AGAIN: LiteralString = """
    INSERT INTO outbox (event_ids)
    SELECT array_agg(e.id ORDER BY e.id) FROM orders o JOIN event e USING (order_number)
     WHERE o.order_id = ANY(%s)
       AND NOT EXISTS (SELECT FROM (SELECT unnest(event_ids) AS id FROM outbox) u WHERE u.id = e.id)
     GROUP BY order_number ORDER BY order_number"""
EVENT_COLUMNS = (
    Column("event_id", "uuid"),
    word("order_id"),
    NUMBER,
    Column("order_version", "bigint"),
    Column("ordinal", "integer"),
    word("topic"),
    Column("body", "bytea"),
    Column("occurred_at", TIME),
    Column("causation_id", "uuid"),
    Column("trace_context"),
)
OUTBOX_ROW: Final = 200
"""Messages in a row of the outbox at most: so many fit without TOAST."""
ENTER_OUTBOX: LiteralString = f"""
    WITH drawn AS (SELECT nextval('event_id_seq') AS id FROM generate_series(1, %s)),
      sent AS (
        INSERT INTO outbox (event_ids)
        SELECT array_agg(id ORDER BY id) FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM drawn) d
         GROUP BY n / {OUTBOX_ROW} ORDER BY n / {OUTBOX_ROW})
    SELECT id FROM drawn"""
"""Draws ids for so many events and puts them into the outbox; the events follow."""
COPY_EVENTS = insert("event", [Column("id", "bigint", kind="number"), *EVENT_COLUMNS])
_EVENT_NAMES: LiteralString = ", ".join([c.name for c in EVENT_COLUMNS])
_EVENT_ARRAYS: LiteralString = ", ".join([f"%s::{c.element}[]" for c in EVENT_COLUMNS])
APPEND_EVENTS = batch(
    # For few events: one statement instead of ENTER_OUTBOX and a COPY. Ids are drawn in the order of the rows.
    f"""
    WITH appended AS (
      INSERT INTO event ({_EVENT_NAMES})
      SELECT {_EVENT_NAMES} FROM unnest({_EVENT_ARRAYS}) WITH ORDINALITY AS u({_EVENT_NAMES}, n) ORDER BY n
      RETURNING id),
      sent AS (INSERT INTO outbox (event_ids) SELECT array_agg(id ORDER BY id) FROM appended)
    SELECT pg_notify('payments_outbox', '')""",
    EVENT_COLUMNS,
)
INSERT_LETTER: LiteralString = """
    INSERT INTO event (id, event_id, order_id, order_version, ordinal, topic, key, body, header_names, header_values,
                       occurred_at, causation_id) OVERRIDING SYSTEM VALUE
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
NOTE_REVIEWS: LiteralString = """
    INSERT INTO review (order_id) SELECT unnest(%s::text[]) ON CONFLICT (order_id) DO UPDATE SET since = now()"""

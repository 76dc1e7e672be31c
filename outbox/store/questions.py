"""What the sweep and a blocked consumer ask the database, off the hot path. Each question has a bound or a key."""

from typing import Final, LiteralString

LAPSED_HOLDS: Final[LiteralString] = """
    SELECT DISTINCT order_id FROM reservation r
     WHERE state = 'held' AND NOT pinned AND expires_at <= now()
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = r.order_id AND q.released_at IS NULL AND q.kind = 'order')
     LIMIT %s"""
"""Goods of an order in quarantine are set free, too, unless that itself raised."""
DELAYED_ORDERS: Final[LiteralString] = """
    SELECT o.order_id FROM operation p JOIN orders o ON o.order_id = p.order_id
     WHERE p.state IN ('open', 'pending', 'unknown') AND p.kind <> 'release' AND p.kind <> 'refund'
       AND p.opened_at <= now() - make_interval(secs => %s)
       AND NOT o.delay_notified AND o.status NOT IN ('paid_and_confirmed', 'payment_failed', 'manual_review')
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = o.order_id AND q.released_at IS NULL AND q.kind = 'order')
     ORDER BY p.opened_at LIMIT %s"""
"""By the index of unfinished operations; there are few, but for an outage."""
UNCHANGED_ORDERS: Final[LiteralString] = """
    SELECT order_id FROM orders WHERE order_id = ANY(%s) AND updated_at < now() - make_interval(secs => %s)"""
END_FROZEN: Final[LiteralString] = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
       AND application_name = current_setting('application_name')
       AND state = 'active' AND wait_event = 'ClientRead'
       AND greatest(xact_start, state_change) < clock_timestamp() - make_interval(secs => %s)"""
"""The server waits for its client amid a COPY or a pipeline: none of its own time-outs ends a session in that state."""
PASSED: Final[LiteralString] = """
    SELECT id, from_offset, to_offset, reason, by, applied_at IS NOT NULL FROM passed_stretch
     WHERE consumer_group = %s AND topic = %s AND (topic_id = '' OR %s IN ('', topic_id)) AND partition = %s
       AND from_offset <= %s AND to_offset >= %s
     ORDER BY applied_at IS NULL DESC, id DESC LIMIT 1"""
HAS_LETTER: Final[LiteralString] = """
    SELECT 1 FROM dead_letter
     WHERE consumer_group = %s AND topic = %s AND partition = %s AND message_offset = %s AND origin = %s"""

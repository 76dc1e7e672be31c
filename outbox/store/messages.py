"""Messages to customers in the database: they wait here until they are sent, stale or given up.

The table `notification` is the lasting record of what was to be told; this one is the work, and has no address.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, LiteralString

from domain.decision import Notification
from domain.ids import EventId, OrderId
from domain.messages import Message, MessageState, Settled
from outbox.driver.batches import Column, Row, batch, unnest, word
from outbox.driver.connections import Connections
from outbox.driver.exchange import Exchange
from outbox.schema.mapping import MISSING, TIME
from outbox.store.claiming import pages_between, touched
from outbox.store.lent import lent_transaction
from outbox.store.reach import PAGES_A_ROW, DueReach

_FACTS: Final = (
    Column("event_id", "uuid"),
    Column("order_id"),
    Column("customer_id"),
    word("kind"),
    word("failure_code"),
    Column("text"),
    Column("amount_minor", "bigint"),
    word("currency"),
    word("money"),
    Column("retryable", "boolean"),
    Column("retry_until", TIME),
    MISSING,
    Column("occurred_at", TIME),
    Column("send_until", TIME),
)
_NAMES: LiteralString = ", ".join([c.name for c in _FACTS])
_VALUES: LiteralString = ", ".join([f"u.{c.name}::jsonb" if c.type == "jsonb" else f"u.{c.name}" for c in _FACTS])
INSERT_MESSAGES = batch(
    f"""
    INSERT INTO message ({_NAMES}, state, tries, due_at)
    SELECT {_VALUES}, 'waiting', 0, now() FROM {unnest(_FACTS)} ON CONFLICT DO NOTHING""",  # noqa: S608 - literals only
    _FACTS,
)
_READ: LiteralString = ", ".join([f"m.{c.name}" for c in _FACTS])
_CLAIM: Final[LiteralString] = f"""
    WITH due AS (
      SELECT event_id, due_at FROM message
       WHERE due_at >= %s AND due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    UPDATE message m SET due_at = now() + make_interval(secs => %s)
      FROM due WHERE m.event_id = due.event_id
    RETURNING {_READ}, m.tries, m.due_at, now(), due.due_at"""  # noqa: S608 - literals only
_SETTLED = (
    Column("event_id", "uuid"),
    Column("lease", TIME),
    word("state"),
    Column("tries", "integer"),
    Column("again_at", TIME),
    word("error"),
)
_SETTLE = batch(
    # The CASE keeps the planner from counting on the constants; see outbox.driver.batches.
    f"""
    UPDATE message m SET state = u.state, tries = u.tries, due_at = u.again_at, error = u.error,
           settled_at = CASE WHEN u.again_at IS NULL THEN now() END
      FROM {unnest(_SETTLED)}
     WHERE m.event_id = u.event_id
       AND CASE WHEN u.state = 'sent' THEN m.state <> 'sent' ELSE m.due_at = u.lease END""",  # noqa: S608 - literals only
    _SETTLED,
)
_ENDED = (Column("event_id", "uuid"), word("state"))
_RECORD = batch(
    f"""
    UPDATE notification n SET stale = (u.state = 'stale'),
           sent_at = CASE u.state WHEN 'sent' THEN coalesce(n.sent_at, now()) ELSE n.sent_at END
      FROM {unnest(_ENDED)} WHERE n.event_id = u.event_id""",  # noqa: S608 - literals only
    _ENDED,
)
_LEASES = (Column("event_id", "uuid"), Column("lease", TIME))
_GIVE_BACK = batch(
    f"""
    UPDATE message m SET due_at = now()
      FROM {unnest(_LEASES)} WHERE m.event_id = u.event_id AND m.due_at = u.lease""",  # noqa: S608 - literals only
    _LEASES,
)
_FORGET: Final[LiteralString] = """
    DELETE FROM message WHERE event_id IN (
      SELECT event_id FROM message WHERE state IN ('sent', 'stale') AND settled_at < now() - %s
       ORDER BY settled_at LIMIT %s FOR UPDATE SKIP LOCKED)"""
"""Those that were given up stay, as dead letters do. What was sent stays in the record."""
_IN_RECORD: Final = frozenset({MessageState.SENT, MessageState.STALE})


def message_row(n: Notification) -> Row:
    """Return the row of a new message."""
    return (
        n.key,
        n.order_id,
        n.customer_id,
        n.kind,
        n.failure_code,
        n.text,
        n.amount_minor,
        n.currency,
        n.money,
        n.retryable,
        n.retry_until,
        n.missing,
        n.occurred_at,
        n.send_until or n.occurred_at,
    )


class PgMessages:
    """domain.ports.messages.Messages over PostgreSQL. Its connections may be shared with a store."""

    def __init__(self, connections: Connections, retention_days: int) -> None:
        self._connections = connections
        self._retention = timedelta(days=retention_days)
        self._reach = DueReach()

    async def claim(self, limit: int, lease_s: float) -> Sequence[Message]:
        """Take due messages under a new lease."""
        now = asyncio.get_running_loop().time()
        since = self._reach.since(now)
        async with lent_transaction(self._connections) as connection:
            exchange = Exchange(connection)
            before = exchange.add(touched("message"))
            claimed = exchange.add(_CLAIM, [since, limit, lease_s])
            after, at = exchange.add(touched("message")), exchange.add("SELECT now()")
            await exchange.send()
        rows = claimed.rows
        upto = at.rows[0][0] if len(rows) < limit else max((row[-1] for row in rows), default=since)
        self._reach.note(since, upto, pages_between(before, after) - PAGES_A_ROW * len(rows), now)
        return [_read(row[:-1]) for row in rows]

    async def settle(self, settled: Sequence[Settled]) -> int:
        """Write states, and in the record what was sent or went stale, in one transaction."""
        if not settled:
            return 0
        # In the order of their ids: so two transactions over the same messages do not wait in a circle.
        ordered = sorted(settled, key=lambda s: s.key)
        rows = [(s.key, s.lease, s.state, s.tries, s.again_at, s.error) for s in ordered]
        ended = [(s.key, s.state) for s in ordered if s.state in _IN_RECORD]
        async with lent_transaction(self._connections) as connection:
            changed = (await connection.execute(_SETTLE.sql, _SETTLE.arrays(rows))).rowcount
            if ended:
                await connection.execute(_RECORD.sql, _RECORD.arrays(ended))
        return changed

    async def give_back(self, messages: Sequence[Message]) -> None:
        """Make claimed messages due again."""
        if messages:
            rows = sorted((m.notification.key, m.lease) for m in messages)
            async with lent_transaction(self._connections) as connection:
                await connection.execute(_GIVE_BACK.sql, _GIVE_BACK.arrays(rows))

    async def forget_old(self, limit: int) -> int:
        """Delete some of those that were done with long ago."""
        async with lent_transaction(self._connections) as connection:
            return (await connection.execute(_FORGET, [self._retention, limit])).rowcount


def _read(row: Row) -> Message:
    (key, order_id, customer_id, kind, code, text, amount, currency, money, retryable, retry_until, missing, *rest) = (
        row
    )
    occurred_at, send_until, tries, lease, at = rest
    assert MISSING.read is not None
    notification = Notification(
        key=EventId(key),
        order_id=OrderId(order_id),
        customer_id=customer_id,
        kind=kind,
        text=text,
        occurred_at=occurred_at,
        send_until=send_until,
        failure_code=code,
        amount_minor=amount,
        currency=currency,
        money=money,
        retryable=retryable,
        retry_until=retry_until,
        missing=() if missing is None else MISSING.read(missing),
    )
    return Message(notification, tries, lease, send_until, at)

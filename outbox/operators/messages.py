"""What operators see of messages to customers, and how they have one tried again. There are no addresses to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from domain.messages import MessageState
from outbox.operators.queries import Reading, Record, rows_of

LOGGED: Final = "logged"
"""The state of a notification that was never to be sent: the notifier was the log, or it is of an older release."""
STATES: Final = (*(str(state) for state in MessageState), LOGGED)
_STATE: Final[LiteralString] = f"""
    CASE WHEN m.state IS NOT NULL THEN m.state WHEN n.sent_at IS NOT NULL THEN '{MessageState.SENT.value}'
         WHEN n.stale THEN '{MessageState.STALE.value}' ELSE '{LOGGED}' END"""
_IN_WORK: Final = frozenset({MessageState.WAITING.value, MessageState.GIVEN_UP.value})
_LIST: Final[LiteralString] = f"""
    SELECT n.event_id, n.order_id, n.customer_id, n.kind, {_STATE} AS state, n.occurred_at, n.recorded_at, n.sent_at,
           coalesce(m.tries, 0) AS tries, m.due_at, m.error, m.by, m.reason"""
_ALL: Final[LiteralString] = " FROM notification n LEFT JOIN message m USING (event_id)"
_THOSE_IN_WORK: Final[LiteralString] = " FROM message m JOIN notification n USING (event_id)"
"""Those that wait or were given up are few, and are all in the table of messages."""
_RETRY: Final[LiteralString] = """
    WITH again AS (
      UPDATE message SET state = 'waiting', due_at = now(), tries = 0, settled_at = NULL, by = %s, reason = %s,
             send_until = greatest(send_until, now() + make_interval(secs => %s))
       WHERE event_id IN (SELECT event_id FROM message WHERE state = ANY(%s) AND (%s OR event_id = ANY(%s))
                           ORDER BY event_id FOR UPDATE)
       RETURNING event_id),
      told AS (UPDATE notification n SET stale = false FROM again WHERE n.event_id = again.event_id AND n.stale)
    SELECT event_id FROM again"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are meant; None means all."""

    state: str | None = None
    order_id: str | None = None
    event_ids: Sequence[UUID] | None = None


def message_list(connection: Reading, wanted: Wanted, limit: int | None) -> list[Record]:
    """Read messages, the last one recorded first."""
    inner = wanted.state in _IN_WORK
    query = _LIST + (_THOSE_IN_WORK if inner else _ALL)
    conditions: list[LiteralString] = []
    if wanted.state is not None:
        conditions.append("m.state = %(state)s" if inner else f"{_STATE} = %(state)s")
    if wanted.order_id is not None:
        conditions.append("n.order_id = %(order_id)s")
    if wanted.event_ids is not None:
        conditions.append("n.event_id = ANY(%(event_ids)s::uuid[])")
    where: LiteralString = " WHERE " + " AND ".join(conditions) if conditions else ""
    query += where + " ORDER BY n.recorded_at DESC, n.event_id LIMIT %(limit)s"
    # A list, for psycopg writes a tuple as a record.
    ids = None if wanted.event_ids is None else list(wanted.event_ids)
    values = {"state": wanted.state, "order_id": wanted.order_id, "event_ids": ids, "limit": limit}
    return rows_of(connection, query, values)


async def retry_messages(
    connection: psycopg.AsyncConnection[Any], event_ids: Sequence[UUID] | None, reason: str, by: str, fresh_s: float
) -> set[UUID]:
    """Make messages due that were given up or went stale; return which. event_ids: None for all that were given up.

    They are fresh again for so many seconds. One that waits already or was sent stays as it is.
    """
    states = ["given_up"] if event_ids is None else ["given_up", "stale"]
    async with connection.transaction():
        values = [by, reason, fresh_s, states, event_ids is None, list(event_ids or ())]
        return {row[0] for row in await (await connection.execute(_RETRY, values)).fetchall()}

"""What operators see of messages to customers, and how they have one tried again. There are no addresses to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
import sqlalchemy as sa

from domain.messages import MessageState
from outbox.operators.queries import Record
from outbox.schema.aside_tables import messages
from outbox.schema.tables import notifications

LOGGED: Final = "logged"
"""The state of a notification that was never to be sent: the notifier was the log, or it is of an older release."""
STATES: Final = (*(str(state) for state in MessageState), LOGGED)
_N, _M = notifications.c, messages.c
STATE: Final = sa.case(
    (_M.state.is_not(None), _M.state),
    (_N.sent_at.is_not(None), MessageState.SENT.value),
    (_N.stale, MessageState.STALE.value),
    else_=LOGGED,
)
_IN_WORK: Final = frozenset({MessageState.WAITING.value, MessageState.GIVEN_UP.value})
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


def message_list(connection: sa.Connection, wanted: Wanted, limit: int | None) -> list[Record]:
    """Read messages, the last one recorded first."""
    # Those that wait or were given up are few, and are all in the table of messages: it comes first then.
    inner = wanted.state in _IN_WORK
    joined = notifications.join(messages, _M.event_id == _N.event_id, isouter=not inner)
    query = (
        sa.select(
            _N.event_id,
            _N.order_id,
            _N.customer_id,
            _N.kind,
            STATE.label("state"),
            _N.occurred_at,
            _N.recorded_at,
            _N.sent_at,
            sa.func.coalesce(_M.tries, 0).label("tries"),
            _M.due_at,
            _M.error,
            _M.by,
            _M.reason,
        )
        .select_from(joined)
        .order_by(_N.recorded_at.desc(), _N.event_id)
        .limit(limit)
    )
    if wanted.state is not None:
        query = query.where((_M.state if inner else STATE) == wanted.state)
    if wanted.order_id is not None:
        query = query.where(_N.order_id == wanted.order_id)
    if wanted.event_ids is not None:
        query = query.where(_N.event_id.in_([str(event_id) for event_id in wanted.event_ids]))
    return [dict(row) for row in connection.execute(query).mappings()]


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

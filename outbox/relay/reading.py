"""Reads rows of the outbox with their messages, and deletes them.

Each read begins at the lowest visible row. Rows commit out of order, so a cursor would lose some; where a read begins
is therefore raised with care, see floor.py. A read only server gives no rows: they could not be deleted there, and
would be sent again and again.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg.types.numeric import Int4, Int8

from domain.ports.publisher import OutgoingMessage
from domain.tracing import headers_of_trace
from outbox.driver.binary import ARRAYS, read_timestamp
from outbox.driver.exchange import Exchange
from outbox.driver.session import Session
from outbox.journal.letters import recut_copy
from outbox.relay.held import HeldFilter, Place
from schemas.envelope import headers_of

Row = Sequence[Any]
"""One row of the queries below."""
PAST_HELD: Final = 4
PAST_HELD_MAX: Final = 8_000
"""While messages are held, a read scans all of them first. It then takes PAST_HELD times as many rows, to scan less."""
LOWEST: Final = -(2**63)
"""No id is lower."""
OUTBOX_ID, MESSAGE_ID, TOPIC, ORDER_ID, EVENT_ID = 0, 1, 2, 3, 8
_MAY_WRITE: LiteralString = "(SELECT current_setting('transaction_read_only') = 'off')"
_COLUMNS: LiteralString = """o.id, e.id, e.topic, e.order_id, e.key, e.body, e.header_names, e.header_values,
    e.event_id::text, timestamptz_send(e.occurred_at), e.trace_context"""
_READ: Final[LiteralString] = f"""
    WITH counted AS (
      SELECT id, event_ids, sum(cardinality(event_ids)) OVER (ORDER BY id) AS messages
        FROM (SELECT id, event_ids FROM outbox WHERE id >= %s ORDER BY id LIMIT %s) lowest)
    SELECT {_COLUMNS}
      FROM counted o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
     WHERE (o.messages <= %s OR o.messages = cardinality(o.event_ids)) AND {_MAY_WRITE}
     ORDER BY o.id, e.id"""  # noqa: S608 - literals only
"""Whole rows of the outbox, at least one, however many messages it has."""
_READ_BUT_HELD: Final[LiteralString] = f"""
    SELECT {_COLUMNS}
      FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
     WHERE o.id >= %(first)s AND e.topic <> ALL(%(topics)s) AND e.id <> ALL(%(ids)s) AND {_MAY_WRITE}
       AND NOT EXISTS (
         SELECT FROM unnest(%(key_topics)s::text[], %(keys)s::bytea[]) AS h(topic, key)
          WHERE h.topic = e.topic
            AND h.key = CASE WHEN e.header_names IS NULL THEN convert_to(e.order_id, 'UTF8') ELSE e.key END)
     ORDER BY o.id, e.id LIMIT %(batch)s"""  # noqa: S608 - literals only
_FORGET_ROWS: Final[LiteralString] = "DELETE FROM outbox WHERE id = ANY(%s)"
_FORGET: Final[LiteralString] = """
    UPDATE outbox SET event_ids = ARRAY(SELECT id FROM unnest(event_ids) AS u(id) WHERE id <> ALL(%s) ORDER BY id)
     WHERE id = ANY(%s)"""
_FORGET_EMPTY: Final[LiteralString] = "DELETE FROM outbox WHERE id = ANY(%s) AND event_ids = '{}'"


async def read(session: Session, batch: int, held: HeldFilter, first: int) -> list[Any]:
    """Return the lowest messages that are not held: `batch` of them at most, more if some are held.

    first: rows of the outbox with lower ids are not looked at.
    """
    begin = Int8(first)
    if held:
        batch = max(batch, min(PAST_HELD * batch, PAST_HELD_MAX))
        cursor = session.cursor(binary=True)
        await cursor.execute(_READ_BUT_HELD, {"batch": batch, "first": begin, **held._asdict()})
        return await cursor.fetchall()
    exchange = Exchange(session)
    asked = exchange.add(_READ, [begin, Int4(batch), Int4(batch)])
    await exchange.send()
    return asked.rows


async def forget(session: Session, rows: Sequence[Row], sent: Sequence[int], *, whole: bool) -> None:
    """Delete the ids that were sent from their rows; what another relay still has to send stays.

    whole: these rows were read with all their messages.
    """
    if not sent:
        return
    row_ids = ARRAYS["number"](sorted({row[OUTBOX_ID] for row in rows}))
    exchange = Exchange(session)
    if whole and len(sent) == len(rows):
        exchange.add(_FORGET_ROWS, [row_ids])
    else:
        exchange.add(_FORGET, [ARRAYS["number"](sent), row_ids])
        exchange.add(_FORGET_EMPTY, [row_ids])
    await exchange.send()


def message_of(row: Row, prefix: str) -> OutgoingMessage:
    """Make the message of a row. Any error concerns this row alone."""
    _, message_id, topic, order_id, key, body, names, values, event_id, occurred_at, trace = row
    if names is None:
        key = order_id.encode()
        headers = headers_of(event_id, topic.removeprefix(prefix), read_timestamp(occurred_at), key)
        if trace is not None:
            headers += headers_of_trace(trace)
        return OutgoingMessage(message_id, topic, key, body, headers)
    if None in names:
        raise ValueError(f"message {message_id} has a header without a name")
    copy = recut_copy(key, body, list(zip(names, values, strict=True)))
    return OutgoingMessage(message_id, topic, copy.key, copy.body, copy.headers)


def place_of(row: Row) -> Place:
    """Return the place of a row, even if it cannot be made into a message."""
    _, message_id, topic, order_id, key, _, names, *_ = row
    return Place.of(topic, order_id.encode() if names is None else key, message_id)

"""Rows that cannot be made into a message. They wait for an operator, and so do later ones of their key and topic."""

from typing import Any, Final, LiteralString

import psycopg
import structlog

from domain.alarms import ring
from domain.blame import blame
from domain.errors import TooManyQuarantined
from outbox.journal.quarantined import lately
from outbox.relay.held import Place
from outbox.relay.reading import EVENT_ID, MESSAGE_ID, ORDER_ID, TOPIC, Row

LOOK_S: Final = 30.0
"""Seconds between checks whether an operator released one."""
_WRITE: Final[LiteralString] = """
    INSERT INTO quarantine (kind, order_id, message_id, detail, trace)
    SELECT 'message', nullif(%(order_id)s, ''), %(message_id)s, %(detail)s, %(trace)s
     WHERE NOT EXISTS (SELECT FROM quarantine WHERE kind = 'message' AND message_id = %(message_id)s
                          AND released_at IS NULL)
    RETURNING 'Q' || id"""
_WAITING: Final[LiteralString] = """
    SELECT e.topic, CASE WHEN e.header_names IS NULL THEN convert_to(e.order_id, 'UTF8') ELSE e.key END, e.id
      FROM quarantine q JOIN event e ON e.id = q.message_id
     WHERE q.kind = 'message' AND q.released_at IS NULL"""


async def quarantine(connection: psycopg.AsyncConnection[Any], row: Row, error: Exception, most: int) -> None:
    """Put this row in quarantine. Raises TooManyQuarantined if all processes put `most` there in ten minutes."""
    blamed = blame(error, row)
    if await lately(connection) >= most:
        raise TooManyQuarantined(most, blamed.detail) from blamed.error
    ids = {"order_id": row[ORDER_ID], "message_id": row[MESSAGE_ID]}
    values = {**ids, "detail": blamed.detail, "trace": blamed.trace}
    written = await (await connection.execute(_WRITE, values)).fetchone()
    ring(
        structlog.get_logger("outbox.relay"),
        "quarantined",
        "a row of the journal cannot be made into a message; it and later messages of its order on its topic wait",
        letter_id=written and written[0],
        **ids,
        event_id=row[EVENT_ID],
        topic=row[TOPIC],
        detail=blamed.detail,
        exc_info=blamed.error,
    )


async def read_quarantined(connection: psycopg.AsyncConnection[Any]) -> set[Place]:
    """Return the places that wait for an operator."""
    found = await (await connection.cursor(binary=True).execute(_WAITING)).fetchall()
    return {Place.of(topic, key, message_id) for topic, key, message_id in found}

"""Messages that a database does not know of, kept in the scratch schema until their orders are taken over."""

from typing import Final, LiteralString, NamedTuple
from uuid import UUID

from outbox.driver.batches import Column, Insert, insert, word


class Kept(NamedTuple):
    """One message. order_id: a SKU has a blank before it, so it is no order's.

    told: an event of ours, later than the database has its order. trigger: no inbox row says that its consumer
    processed it. consumed: its consumer has committed an offset behind it.
    """

    order_id: str
    topic: str
    partition: int
    message_offset: int
    message_at: int
    event_id: UUID
    told: bool
    trigger: bool
    consumed: bool
    key: bytes | None
    body: bytes | None


COLUMNS: Final = (
    word("order_id", "the order"),
    word("topic", "where it stands, with the prefix"),
    Column("partition", "integer", "where it stands"),
    Column("message_offset", "bigint", "where it stands", kind="number"),
    Column("message_at", "bigint", "the message's time-stamp, milliseconds since 1970", kind="number"),
    Column("event_id", "uuid", "the event"),
    Column("told", "boolean", "an event of ours that the database lacks"),
    Column("trigger", "boolean", "its consumer has no inbox row of it"),
    Column("consumed", "boolean", "its consumer has gone on behind it"),
    Column("key", "bytea", "the message's key", nullable=True),
    Column("body", "bytea", "the message's body", nullable=True),
)
TABLE: Final = "kept"
INSERT: Final[Insert] = insert(TABLE, COLUMNS)
READ: Final[LiteralString] = """
    SELECT order_id, topic, partition, message_offset, message_at, event_id, told, trigger, consumed, key, body
      FROM kept ORDER BY order_id, topic, partition, message_offset"""

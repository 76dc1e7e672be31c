"""Messages that came before their order: kept, found with it, and given up after a while."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from domain.early import EarlyMessage
from domain.ids import EventId, OrderId
from outbox.driver.batches import Row
from outbox.store.wire import Wire
from schemas.texts import storable

OF_ORDERS: Final[LiteralString] = """
    SELECT id, consumer_group, topic, partition, message_offset, message_at, key, body, header_names, header_values,
           event_id, order_id, look_at, give_up_at
      FROM early_message WHERE order_id = ANY(%s) ORDER BY id FOR UPDATE"""
TO_LOOK_AT: Final[LiteralString] = """
    SELECT order_id FROM (SELECT order_id, look_at FROM early_message WHERE look_at <= now()
                           ORDER BY look_at LIMIT %s) due GROUP BY order_id"""
_INSERT: Final[LiteralString] = """
    INSERT INTO early_message (consumer_group, topic, partition, message_offset, message_at, key, body, header_names,
                               header_values, event_id, order_id, look_at, give_up_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_DELETE: Final[LiteralString] = "DELETE FROM early_message WHERE id = ANY(%s)"
LOOK_LATER: Final[LiteralString] = """
    UPDATE early_message SET look_at = least(give_up_at, now() + greatest(now() - received_at, interval '1 second'))
     WHERE id = ANY(%s)"""
"""Soon at first, for it may have missed its order by a moment; then less and less often."""


def by_order(rows: Sequence[Row]) -> dict[OrderId, list[EarlyMessage]]:
    """Make messages from rows of OF_ORDERS, and group them by order, in order of arrival."""
    grouped: dict[OrderId, list[EarlyMessage]] = {}
    for (
        number,
        group,
        topic,
        partition,
        offset,
        at,
        key,
        body,
        names,
        values,
        event_id,
        order_id,
        look_at,
        until,
    ) in rows:
        headers = tuple(zip(names, values, strict=True))
        place = (group, topic, partition, offset, at, key, body, headers)
        message = EarlyMessage(*place, EventId(event_id), OrderId(order_id), look_at, until, number)
        grouped.setdefault(message.order_id, []).append(message)
    return grouped


async def write(wire: Wire, kept: Sequence[EarlyMessage], applied: Sequence[int]) -> None:
    """Keep new ones, and delete those that are not needed any more."""
    if kept:
        async with wire.together():
            for message in kept:
                await wire.execute(_INSERT, _row(message))
    if applied:
        await wire.execute(_DELETE, [list(applied)])


def _row(m: EarlyMessage) -> tuple[Any, ...]:
    names, values = [storable(name) for name, _ in m.headers], [value for _, value in m.headers]
    place = (m.group, m.topic, m.partition, m.offset, m.timestamp_ms, m.key, m.body)
    return (*place, names, values, m.event_id, m.order_id, m.look_at, m.give_up_at)

"""A take-over of messages that a test writes, into a database of its own: what the topics say without topics."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg

from deploy.rebuilding import TakenOver
from deploy.rebuilding.applying import Applier, Recall
from deploy.rebuilding.guards import Watch
from domain.rules import Rules
from outbox.audit.rebuild.kept import Kept
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from schemas.codec import Codec
from schemas.events import Event, OrderEvent, OwnEvent

CODEC: Final = Codec()


def kept(event: Event, *, consumed: bool = True, offset: int = 0, at: datetime | None = None) -> Kept:
    """Return what is kept of a message with this event. at: its time-stamp on the topic."""
    moment = event.occurred_at if at is None else at
    return Kept(
        order_id=event.order_id if isinstance(event, OrderEvent) else f" {event.subject}",
        topic=event.TYPE,
        partition=0,
        message_offset=offset,
        message_at=int(moment.timestamp() * 1_000),
        event_id=event.event_id,
        told=isinstance(event, OwnEvent),
        trigger=True,
        consumed=consumed,
        key=event.subject.encode(),
        body=CODEC.encode(event),
    )


@asynccontextmanager
async def storing(url: str, encode: Callable[[Event], bytes] = CODEC.encode) -> AsyncIterator[PostgresStore]:
    """Open a store over the migrated database of the URL, and close it."""
    store = PostgresStore(Connections(url, 2), encode)
    try:
        await store.maintain()
        yield store
    finally:
        await store.close()


async def applied(url: str, *orders: Sequence[Kept], rules: Rules | None = None) -> TakenOver:
    """Take over what is kept of these orders, in one batch, into the migrated database of the URL."""
    recall = Recall(CODEC)
    async with storing(url, recall.encode) as store:
        applier = Applier(store, recall, CODEC, "", rules or Rules(), Watch({}))
        await applier.apply(orders)
    return applier.done


async def rows(url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    """Ask the database."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute(query)).fetchall()

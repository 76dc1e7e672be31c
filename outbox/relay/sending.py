"""Sends batches from the outbox to Kafka. What Kafka refuses is held; a row that raises goes to quarantine."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from domain.alarms import ring
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Publisher
from outbox.driver.connections import check_writable
from outbox.driver.session import Session
from outbox.relay.floor import Floor
from outbox.relay.held import HeldFilter, HeldMessages
from outbox.relay.quarantine import LOOK_S, quarantine, read_quarantined
from outbox.relay.reading import EVENT_ID, MESSAGE_ID, ORDER_ID, Row, forget, message_of, place_of, read


class Sending:
    """Keeps what is held between batches.

    prefix: of topics. batch: messages read at once. quarantine_max: see quarantine.py.
    """

    def __init__(self, prefix: str, batch: int, quarantine_max: int) -> None:
        self.sent = 0
        self._prefix = prefix
        self._batch_max = self._batch = batch
        self._quarantine_max = quarantine_max
        self._held = HeldMessages()
        self._looked = 0.0
        self._floor = Floor(0.0)
        self._log = structlog.get_logger("outbox.relay")

    async def begin(self, session: Session) -> None:
        """Begin on a new session, perhaps to another server."""
        now = asyncio.get_running_loop().time()
        self._floor = Floor(now)
        await self._look(session, now)

    async def send_batch(self, session: Session, publisher: Publisher, allowed: Callable[[], bool]) -> bool:
        """Send one batch; return whether there may be more. allowed: see the publisher's port."""
        now = asyncio.get_running_loop().time()
        if self._held.quarantined and now - self._looked > LOOK_S:
            await self._look(session, now)
        held = self._held.filter_at(now)
        await self._floor.raise_if_due(session, now)
        rows = await read(session, self._batch, held, self._floor.first)
        self._floor.note_read(rows)
        # Rows of a read only server could not be deleted, and would be sent again and again. Ask even without rows:
        # after a fail-over the outbox of the old primary stays as it was.
        await check_writable(session)
        if not rows:
            return False
        messages = await self._messages(session, rows)
        try:
            published = await publisher.publish(messages, allowed=allowed)
        except Interrupted as trouble:
            await self._record(session, rows, held, messages, trouble.published)
            raise
        await self._record(session, rows, held, messages, published)
        self._batch = min(2 * self._batch, self._batch_max)
        return True

    async def _look(self, session: Session, now: float) -> None:
        """Read what waits for an operator."""
        self._held.quarantined = await read_quarantined(session)
        self._looked = now

    def read_less(self) -> None:
        """Halve the next batches, because the database gave up on this size. Each success doubles them again."""
        self._batch = max(1, self._batch // 2)

    async def _record(
        self,
        session: Session,
        rows: Sequence[Row],
        held: HeldFilter,
        messages: Sequence[OutgoingMessage],
        published: Published,
    ) -> None:
        """Delete what was sent; hold what was refused, and ring for it."""
        await forget(session, rows, published.acknowledged, whole=not held)
        self.sent += len(published.acknowledged)
        now = asyncio.get_running_loop().time()
        for message, refusal in self._held.record(messages, published, now):
            row = next(row for row in rows if row[MESSAGE_ID] == message.id)
            ring(
                self._log,
                refusal.alarm,
                "held",
                scope=refusal.scope.name.lower(),
                topic=message.topic,
                order_id=row[ORDER_ID],
                event_id=row[EVENT_ID],
                message_id=message.id,
                why=refusal.why,
            )

    async def _messages(self, session: Session, rows: Sequence[Row]) -> list[OutgoingMessage]:
        """Make the messages. A row that raises goes to quarantine; later rows of its place are left out."""
        prefix = self._prefix
        try:
            return [message_of(row, prefix) for row in rows]
        except Exception:  # noqa: BLE001 - any row may raise anything; the loop below finds out which
            messages = []
        for row in rows:
            place = place_of(row)
            if place in self._held.quarantined:
                continue
            try:
                messages.append(message_of(row, prefix))
            except Exception as error:  # noqa: BLE001 - as above
                await quarantine(session, row, error, self._quarantine_max)
                self._held.quarantined.add(place)
        return messages

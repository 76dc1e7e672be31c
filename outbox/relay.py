"""The relay: sends what the outbox holds, in the order of its rows, and forgets it once all in-sync replicas have it.

A row of the outbox has the ids of the events of a transaction. The relay reads the lowest visible rows anew each time,
never "greater than the last": rows commit out of order, and a cursor would lose some. One instance is active, by an
advisory lock on a connection of its own; a second active one would only cause duplicates. A message is never skipped: a
produce error starts again from the lowest one with a new producer, and a refusal about one topic holds that topic's
messages, with an alarm, while others go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, LiteralString

import psycopg
import structlog

from domain.alarms import ring
from domain.errors import Transient
from domain.ports.publisher import OutgoingMessage, Publisher
from outbox.binary import ARRAYS, read_timestamp
from outbox.connections import check_writable
from outbox.conninfo import connect
from outbox.sqlstates import may_pass, said
from outbox.transaction import CHANNEL
from schemas.envelope import headers_of

LOCK: LiteralString = "SELECT pg_try_advisory_lock(hashtext('payments.relay'))"
RETRY_MAX_S: Final = 5.0
HELD_RETRY_S: Final = 30.0
_READ: LiteralString = """
    WITH counted AS (
      SELECT id, event_ids, sum(cardinality(event_ids)) OVER (ORDER BY id) AS messages
        FROM (SELECT id, event_ids FROM outbox ORDER BY id LIMIT %(batch)s) lowest)
    SELECT o.id, e.id, e.topic, e.order_id, e.key, e.body, e.header_names, e.header_values, e.event_id::text,
           timestamptz_send(e.occurred_at)
      FROM counted o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
     WHERE o.messages <= %(batch)s OR o.messages = cardinality(o.event_ids)
     ORDER BY o.id, e.id"""
"""Whole rows: one at least, whatever it has."""
_READ_BUT_HELD: LiteralString = """
    SELECT o.id, e.id, e.topic, e.order_id, e.key, e.body, e.header_names, e.header_values, e.event_id::text,
           timestamptz_send(e.occurred_at)
      FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
     WHERE e.topic <> ALL(%(held)s)
     ORDER BY o.id, e.id LIMIT %(batch)s"""
_FORGET_ROWS: LiteralString = "DELETE FROM outbox WHERE id = ANY(%s)"
_FORGET: LiteralString = """
    UPDATE outbox SET event_ids = ARRAY(SELECT id FROM unnest(event_ids) AS u(id) WHERE id <> ALL(%s) ORDER BY id)
     WHERE id = ANY(%s)"""
_FORGET_EMPTY: LiteralString = "DELETE FROM outbox WHERE id = ANY(%s) AND event_ids = '{}'"


class Relay:
    """conninfo: libpq's. make_publisher: makes a new producer. batch: messages read at once. poll_s: the safety net."""

    def __init__(
        self,
        conninfo: str,
        make_publisher: Callable[[], Awaitable[Publisher]],
        *,
        prefix: str = "",
        batch: int = 2_000,
        poll_s: float = 1.0,
    ) -> None:
        self._conninfo = conninfo
        self._make_publisher = make_publisher
        self._prefix_length = len(prefix)
        self._batch = batch
        self._poll_s = poll_s
        self.on_turn: Callable[[str], None] = lambda _: None
        self._held: dict[str, float] = {}
        self._failures = 0
        self.sent = 0
        self._log = structlog.get_logger("outbox.relay")

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop. What is down is waited for."""
        while not stop.is_set():
            try:
                await self._session(stop)
            except (Transient, psycopg.Error) as error:
                if not may_pass(error):
                    raise
                self._failures += 1
                if self._failures == 1:
                    ring(self._log, "dependency_down", "waiting", error=said(error))
                else:
                    self._log.debug("still waiting", failures=self._failures)
                await _pause(stop, min(0.1 * 2 ** min(self._failures, 10), RETRY_MAX_S))

    async def once(self) -> int:
        """Send what is there and end; return how many. Raises Transient or psycopg.OperationalError when it cannot.

        Returns 0 when another relay is active: it sends them.
        """
        async with await self._connect() as connection:
            if not await self._lock(connection):
                return 0
            publisher = await self._make_publisher()
            try:
                before = self.sent
                while await self._turn_once(connection, publisher):
                    pass
                return self.sent - before
            finally:
                await publisher.close()

    async def _session(self, stop: asyncio.Event) -> None:
        """Be the active relay, or stand by, with one connection and one producer."""
        async with await self._connect() as connection:
            while not await self._lock(connection):
                self.on_turn("relay")
                if await _pause(stop, self._poll_s):
                    return
            await connection.execute(f"LISTEN {CHANNEL}")
            publisher = await self._make_publisher()
            self._log.info("active")
            try:
                while not stop.is_set():
                    self.on_turn("relay")
                    more = await self._turn_once(connection, publisher)
                    self._all_is_well()
                    if not more:
                        await self._wait(connection, stop)
            finally:
                with suppress(Transient):
                    await publisher.close()

    def _all_is_well(self) -> None:
        """End an outage: the next one is an alarm again, and is tried anew from the shortest pause on."""
        if self._failures:
            self._log.info("going on", failures=self._failures)
            self._failures = 0

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await connect(self._conninfo, name="payments relay", autocommit=True, prepare_threshold=1)
        # A delete that a crash loses sends a message twice, which the topics allow; nothing else is written here.
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET enable_seqscan = off")
        await connection.execute("SET enable_hashjoin = off")
        await connection.execute("SET enable_mergejoin = off")
        return connection

    @staticmethod
    async def _lock(connection: psycopg.AsyncConnection[Any]) -> bool:
        row = await (await connection.execute(LOCK)).fetchone()
        return row is not None and bool(row[0])

    async def _turn_once(self, connection: psycopg.AsyncConnection[Any], publisher: Publisher) -> bool:
        """Send one batch; return whether there may be more."""
        now = asyncio.get_running_loop().time()
        self._held = {topic: until for topic, until in self._held.items() if until > now}
        query = _READ_BUT_HELD if self._held else _READ
        cursor = connection.cursor(binary=True)
        await cursor.execute(query, {"batch": self._batch, "held": list(self._held)})
        rows = await cursor.fetchall()
        # What cannot be taken out of the outbox would be sent again and again; and after a fail-over the outbox of the
        # old primary stays as it was, empty or not.
        await check_writable(connection)
        if not rows:
            return False
        messages = [self._message(row) for row in rows]
        published = await publisher.publish(messages)
        whole = query is _READ and len(published.acknowledged) == len(messages)
        await self._forget(connection, sorted({row[0] for row in rows}), published.acknowledged, whole=whole)
        self.sent += len(published.acknowledged)
        self._hold(messages, published.refused)
        return True

    @staticmethod
    async def _forget(
        connection: psycopg.AsyncConnection[Any], row_ids: Sequence[int], sent: Sequence[int], *, whole: bool
    ) -> None:
        """Take what was sent out of these rows; whole: that is all they have."""
        rows = ARRAYS["number"](row_ids)
        if whole:
            await connection.execute(_FORGET_ROWS, [rows])
        elif sent:
            await connection.execute(_FORGET, [ARRAYS["number"](sent), rows])
            await connection.execute(_FORGET_EMPTY, [rows])

    def _message(self, row: Sequence[Any]) -> OutgoingMessage:
        _, message_id, topic, order_id, key, body, names, values, event_id, occurred_at = row
        if names is None:
            key = order_id.encode()
            headers = headers_of(event_id, topic[self._prefix_length :], read_timestamp(occurred_at), key)
        else:
            headers = list(zip(names, (bytes(value) for value in values), strict=True))
        return OutgoingMessage(message_id, topic, key, body, headers)

    def _hold(self, messages: Sequence[OutgoingMessage], refused: dict[int, str]) -> None:
        until = asyncio.get_running_loop().time() + HELD_RETRY_S
        for message in messages:
            why = refused.get(message.id)
            if why is not None and message.topic not in self._held:
                self._held[message.topic] = until
                ring(self._log, "produce_refused", "topic held", topic=message.topic, why=why)

    async def _wait(self, connection: psycopg.AsyncConnection[Any], stop: asyncio.Event) -> None:
        """Wait for a notification, at most for the poll's period."""
        notified = asyncio.ensure_future(_next_notification(connection, self._poll_s))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({notified, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not notified.done():
            notified.cancel()
            with suppress(asyncio.CancelledError):
                await notified
            return
        notified.result()


async def _next_notification(connection: psycopg.AsyncConnection[Any], timeout_s: float) -> None:
    async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
        return


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until told to stop; return whether we were."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()

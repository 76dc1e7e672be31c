"""The pipeline without Kafka, for whatever may be made up: the real engine and database, a gateway of odd words."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import psycopg

from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.bounds import Bounds
from consumers.runtime.engine import Engine
from consumers.runtime.letters import Letters
from consumers.runtime.planning import Planner
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.reading import Reader
from domain.blame import blame
from domain.errors import Contended
from domain.ids import OrderId
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall
from domain.ports.gateway import Begin, GatewayAnswer, at_once
from domain.ports.publisher import OutgoingMessage, Published, Publisher, always
from domain.ports.source import Message
from domain.rules import Rules
from domain.values import replace
from outbox.driver.connections import Connections
from outbox.relay import Relay
from outbox.store import PostgresStore
from schemas.codec import Codec
from schemas.fields import LARGEST_EVENT_BYTES, LONG_MAX
from schemas.topics import CONSUMED
from tests.door.made_up import GOOD, Said

UPSTREAM: Final = frozenset({"OrderConfirmed", "PaymentRetryRequested"})
ROUNDS_MAX: Final = 30
RUNS_MAX: Final = 5
BOUNDS: Final = Bounds(breaker_failures=1_000_000)
END_LEASES: Final = """
    WITH touched AS (UPDATE orders SET updated_at = updated_at
                      WHERE order_id IN (SELECT order_id FROM operation WHERE due_at > now()) RETURNING order_id)
    UPDATE operation SET due_at = now() WHERE order_id IN (SELECT order_id FROM touched) AND due_at > now()"""


class OddGateway:
    """Gateway: says one thing after the other, then what is good, whatever it is asked."""

    def __init__(self) -> None:
        self.answers: deque[Said] = deque()

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        for call in calls:
            if not begin(call):
                continue
            said = self.answers.popleft() if self.answers else GOOD
            yield [GatewayAnswer(call.operation_id, said.about(call))]  # type: ignore[arg-type]

    look_up = perform

    async def late_refunds(self, _: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        nothing: Sequence[RefundFailure | Notice] = ()
        yield nothing

    async def news_of(self, _: str, *, with_disputes: bool) -> TransactionNews | None:
        return None

    async def close(self) -> None:
        """Nothing to close."""


class Collecting:
    """Publisher: keeps what it is given, and has all of it."""

    def __init__(self) -> None:
        self.sent: list[OutgoingMessage] = []

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        assert allowed()
        self.sent += messages
        return Published([message.id for message in messages])

    async def close(self) -> None:
        """Nothing to close."""


class Made:
    """One process over the test's database. Messages come in by `live` and `plan`; what is told comes back to it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.codec = Codec()
        self.gateway = OddGateway()
        self.publisher = Collecting()
        self._store = PostgresStore(Connections(url, 4), self.codec.encode)
        ports = Ports(self._store, self.gateway, InternalInventory(), LogNotifier(), self.codec.decode, self.codec)
        self._engine = Engine(ports, BY_NAME, Rules(), BOUNDS)
        self._readers = {
            t: Reader(BY_TRIGGER[t], ports.decode, Letters(BY_TRIGGER[t].group, t, ports.mask)) for t in CONSUMED
        }
        self._planners = {t: Planner(BY_TRIGGER[t], BY_NAME, ports, Rules(), BOUNDS) for t in CONSUMED}
        self._offset = 0

    async def start(self) -> None:
        self._database = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        self._settling = asyncio.ensure_future(self._engine.settler.run("settler"))

    async def close(self) -> None:
        self._settling.cancel()
        with suppress(asyncio.CancelledError):
            await self._settling
        await self._database.close()
        await self._store.close()

    async def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = await self._database.execute(query.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []

    async def stock(self, skus: Sequence[str], units: int | None) -> None:
        """Have so many units of each; as many were sold before as can be counted. Nobody holds anything."""
        await self.rows("DELETE FROM reservation; DELETE FROM operation; DELETE FROM stock")
        if units is not None:
            await self.rows(
                "INSERT INTO stock SELECT unnest(%s::text[]), %s, 0, %s", list(skus), units, LONG_MAX - units
            )

    async def live(self, messages: Sequence[Message], answers: Sequence[Said]) -> None:
        """Plan these, and everything that follows of them, to the end. What we told is never refused."""
        self.gateway.answers = deque(answers)
        waiting = list(messages)
        for _ in range(ROUNDS_MAX):
            for event_type in CONSUMED:
                batch = [message for message in waiting if message.topic == event_type]
                if batch:
                    await self.plan(event_type, batch)
            await self._at_rest()
            waiting = await self._told()
            if not waiting and not await self.rows("SELECT 1 FROM operation WHERE due_at IS NOT NULL"):
                return
            await self.rows(END_LEASES)
            await self._engine.sweep.once()
        raise AssertionError(f"never at rest: {await self.rows('SELECT * FROM operation WHERE due_at IS NOT NULL')}")

    async def plan(self, event_type: str, messages: Sequence[Message]) -> None:
        """Plan a batch of one topic, and have the gateway asked what it must be asked."""
        reading = self._readers[event_type].read(messages)
        assert not reading.held
        for run in range(RUNS_MAX):
            with suppress(Contended):
                self._engine.performer.submit(await self._planners[event_type].plan(reading.read, contended=run > 0))
                return
        raise AssertionError("it loses every race, against nobody")

    def message(self, topic: str, key: bytes | None, value: bytes | None, **fields: Any) -> Message:
        """Make a message at the next offset."""
        self._offset += 1
        plain = Message(topic, 0, self._offset, key, value, (), 1_770_000_000_000)
        return replace(plain, **fields)

    async def set_aside(self, order_id: str, error: Exception) -> None:
        """Put an order in quarantine, as a sweep does in which it raised."""
        await Quarantine(self._store, LONG_MAX).set_aside_order(OrderId(order_id), blame(error, order_id))

    async def sent(self) -> list[OutgoingMessage]:
        """Have the relay send what the outbox holds; return it."""
        await Relay(self._url, self._make_publisher).once()
        sent, self.publisher.sent = self.publisher.sent, []
        return sent

    async def _at_rest(self) -> None:
        resting = asyncio.ensure_future(self._engine.sweep.at_rest())
        failing = asyncio.ensure_future(self._engine.performer.watch())
        await asyncio.wait({resting, failing, self._settling}, return_when=asyncio.FIRST_COMPLETED)
        failing.cancel()
        resting.cancel()
        for work in (failing, self._settling):
            if work.done() and not work.cancelled():
                work.result()

    async def _told(self) -> list[Message]:
        """Send what the outbox holds; return what of it comes back to us."""
        told = []
        for message in await self.sent():
            if message.topic.endswith(".dlt"):
                letter = dict(message.headers)
                assert letter["payments_reason"] != b"quarantined", message
                assert message.topic.removesuffix(".dlt") in UPSTREAM, message
                continue
            assert message.value is not None
            assert len(message.value) <= LARGEST_EVENT_BYTES
            event = self.codec.decode(message.topic, message.key, message.value)
            assert self.codec.encode(event) == message.value
            if message.topic in CONSUMED:
                told.append(self.message(message.topic, message.key, message.value, headers=message.headers))
        return told

    async def _make_publisher(self) -> Publisher:
        return self.publisher

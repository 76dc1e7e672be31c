"""The topics, read from their beginning as any subscriber reads them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.closing import begun, has_given_up, stop_consumer
from consumers.adapters.kafka.no_answer import NO_ANSWER
from deploy.demo.stories import ASKED_EVENT, MONEY_EVENTS, OUTCOME_EVENTS
from deploy.settings import Settings
from schemas.codec import Codec
from schemas.topics import CONSUMED, dead_letter_topic, event_type_of, topic_name

PASSED: Final = ("PaymentAuthorized", "ItemsReserved")
"""Read for the progress only: how many orders have come so far."""
TAKE_MS: Final = 200
TAKE_MAX: Final = 2_000
REASON: Final = "payments_reason"


@dataclass(frozen=True, slots=True)
class Seen:
    """One distinct event of an order. code: the failure code, None where nothing failed. at_s: the loop's clock.

    transaction_id: the gateway's. url: where the customer is to confirm the payment, if the event says so.
    """

    order_id: str
    event_type: str
    attempt: int
    code: str | None
    at_s: float
    transaction_id: str | None = None
    url: str | None = None

    @property
    def mark(self) -> tuple[str, int, str | None]:
        """What is compared with the events of its story."""
        return self.event_type, self.attempt, self.code


@dataclass(slots=True)
class Observed:
    """All that was seen. events: by order id, distinct event ids only. letters: by (reason, message key)."""

    events: dict[str, list[Seen]] = field(default_factory=dict)
    passed: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in PASSED})
    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    _ids: set[UUID] = field(default_factory=set)

    def marks(self, order_id: str) -> list[tuple[str, int, str | None]]:
        """Return what was seen of an order."""
        return [seen.mark for seen in self.events.get(order_id, ())]

    def remember(self, event_id: UUID) -> bool:
        """Remember an event id. Return whether it is new: a topic may carry an event twice."""
        if event_id in self._ids:
            return False
        self._ids.add(event_id)
        return True


class Watcher:
    """Reads the topics in the background. on_event: called with each new event of an outcome or of money."""

    def __init__(self, settings: Settings, codec: Codec, on_event: Callable[[Seen], None]) -> None:
        self.observed = Observed()
        self._prefix = settings.topic_prefix
        self._codec = codec
        self._on_event = on_event
        self._outcomes = {topic_name(self._prefix, name) for name in (*OUTCOME_EVENTS, *MONEY_EVENTS, ASKED_EVENT)}
        self._passed = {topic_name(self._prefix, name) for name in PASSED}
        self._letters = {dead_letter_topic(self._prefix, name) for name in CONSUMED}
        topics = self._outcomes | self._passed | self._letters
        self._partitions = [TopicPartition(t, p) for t in sorted(topics) for p in range(settings.topic_partitions)]
        self._kafka = settings.kafka_options()
        self._next: dict[TopicPartition, int] = {}
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect, and begin in every topic with the first message that was not read yet."""
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
            request_timeout_ms=40_000,
            retry_backoff_ms=100,
            **self._kafka,
        )
        try:
            await begun(consumer.start())
        except BaseException:
            await stop_consumer(consumer)
            raise
        consumer.assign(self._partitions)
        for partition in self._partitions:
            consumer.seek(partition, self._next.get(partition, 0))
        self._consumer = consumer

    async def run(self) -> None:
        """Read until cancelled. Wait for a broker that was killed."""
        while True:
            try:
                found = await self._take()
            except NO_ANSWER:
                await asyncio.sleep(TAKE_MS / 1000)
                continue
            now_s = asyncio.get_running_loop().time()
            for partition, records in found.items():
                for record in records:
                    self._note(record, now_s)
                self._next[partition] = records[-1].offset + 1

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def _take(self) -> Mapping[TopicPartition, Sequence[Any]]:
        """Take what is there, with a new client if this one has given up."""
        if self._consumer is not None and has_given_up(self._consumer):
            await self.close()
        if self._consumer is None:
            await self.start()
        consumer: Any = self._consumer
        found: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(timeout_ms=TAKE_MS, max_records=TAKE_MAX)
        return found

    def _note(self, record: Any, now_s: float) -> None:
        if record.topic in self._letters:
            reason = next((value.decode() for name, value in record.headers if name == REASON and value), "no reason")
            self.observed.letters[reason, (record.key or b"").decode("utf-8", "replace")] += 1
            return
        if record.topic in self._passed:
            self.observed.passed[event_type_of(self._prefix, record.topic)].add(record.key.decode())
            return
        event: Any = self._codec.decode(event_type_of(self._prefix, record.topic), record.key, record.value)
        if self.observed.remember(event.event_id):
            reason = getattr(event, "reason", None)
            code = getattr(event, "failure_code", None) or (None if reason is None else str(reason))
            asked = (getattr(event, "transaction_id", None), getattr(event, "url", None))
            seen = Seen(event.order_id, event.TYPE, getattr(event, "attempt", 1), code, now_s, *asked)
            self.observed.events.setdefault(event.order_id, []).append(seen)
            self._on_event(seen)

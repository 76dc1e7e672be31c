"""The topics, read from their beginning as any subscriber reads them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

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
        self._consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
            request_timeout_ms=40_000,
            retry_backoff_ms=100,
            **settings.kafka_options(),
        )

    async def start(self) -> None:
        """Connect, and begin with the first message of every topic."""
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning()

    async def run(self) -> None:
        """Read until cancelled. Wait for a broker that was killed."""
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=TAKE_MS, max_records=TAKE_MAX)
            except KafkaError:
                await asyncio.sleep(TAKE_MS / 1000)
                continue
            now_s = asyncio.get_running_loop().time()
            for records in found.values():
                for record in records:
                    self._note(record, now_s)

    async def close(self) -> None:
        """Disconnect."""
        with suppress(KafkaError):
            await self._consumer.stop()

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

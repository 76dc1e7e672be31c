"""Reads all messages of the topics, outside any consumer group, and how far the groups are behind."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from consumers.adapters.kafka.careful import CarefulReader
from consumers.adapters.kafka.closing import begun, stop_consumer
from consumers.adapters.kafka.group_reader import raise_unless_of_one
from consumers.adapters.kafka.lane_reader import message_of
from consumers.adapters.kafka.no_answer import NO_ANSWER
from consumers.adapters.kafka.unpacking import bound_unpacking
from consumers.adapters.kafka.wire import Wire
from consumers.reactions import REACTIONS
from deploy.settings import Settings
from deploy.topics import owners_of
from domain.errors import Transient
from domain.ports.source import Message
from outbox.audit import Committed, TopicMessage, Unreadable
from producers.connection import admin_client, coordinator_of, start_failure
from schemas.texts import counted
from schemas.topics import topic_name

GROUPS: Final = {reaction.trigger.TYPE: reaction.group for reaction in REACTIONS}
REQUEST_TIMEOUT_MS: Final = 30_000
BATCH: Final = 5_000
WAIT_MS: Final = 1_000
FETCH_BYTES: Final = 1 << 17
"""So much the client reads ahead of each partition, of which there may be hundreds. A larger batch is read as it is."""
EMPTY_MAX: Final = 2
"""After so many empty reads, though messages are left, each partition is read by itself."""


class KafkaTopics:
    """outbox.audit.TopicReader over Kafka. Every method raises Transient when no broker answers.

    event_types: whose topics `messages` reads; None: all topics, dead letters included.
    """

    def __init__(self, settings: Settings, event_types: Iterable[str] | None = None) -> None:
        self._kafka = settings.kafka_options()
        self._prefix = settings.topic_prefix
        self._unpacked_bytes_max = settings.unpacked_bytes_max
        self._unreadable: list[Unreadable] = []
        every = owners_of(self._prefix) if event_types is None else [topic_name(self._prefix, t) for t in event_types]
        self._topics = list(every)

    async def committed(self) -> Committed:
        """Return the committed offsets of every group on its own topic."""
        found: dict[tuple[str, int], int] = {}
        async with admin_client(self._kafka, "payments-audit", "the audit", REQUEST_TIMEOUT_MS) as admin:
            for event_type, group in GROUPS.items():
                topic = topic_name(self._prefix, event_type)
                offsets = await _offsets_of(admin, self._prefix + group)
                found |= {place: offset for place, offset in offsets.items() if place[0] == topic}
        return found

    async def lag(self) -> Sequence[str]:
        """Say which groups have messages to read. Messages behind an open transaction do not count."""
        committed = await self.committed()
        topics = [topic_name(self._prefix, event_type) for event_type in GROUPS]
        async with self._consumer(topics) as (consumer, partitions):
            firsts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        behind: dict[str, int] = {}
        for p in partitions:
            left = ends[p] - max(committed.get((p.topic, p.partition), 0), firsts[p])
            behind[p.topic] = behind.get(p.topic, 0) + max(left, 0)
        return [
            f"{group} has {counted(behind[topic], 'message')} before it"
            for topic, group in zip(topics, GROUPS.values(), strict=True)
            if behind.get(topic)
        ]

    async def messages(self) -> AsyncIterator[Sequence[TopicMessage]]:
        """Read every topic from its first message to the last one of now. Skip what cannot be read."""
        bound_unpacking(self._unpacked_bytes_max)
        self._unreadable.clear()
        async with (
            self._consumer(self._topics) as (consumer, partitions),
            _Careful(self._kafka) as careful,
        ):
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            behind = {p: await consumer.position(p) for p in partitions}
            left = {p for p in partitions if ends[p] > behind[p]}
            empty = 0
            while left:
                found = await _read(consumer, left)
                empty = 0 if found else empty + 1
                if found is not None:
                    for p, records in found.items():
                        yield [_message(r) for r in records if r.offset < ends[p]]
                        behind[p] = records[-1].offset + 1
                if found is None or empty >= EMPTY_MAX:
                    for p in left:
                        messages, behind[p] = await careful.read(p, behind[p], ends[p], self._unreadable)
                        yield messages
                        consumer.seek(p, behind[p])
                left = {p for p in left if max(behind[p], await consumer.position(p)) < ends[p]}

    async def shortened(self) -> Collection[str]:
        """Return the topics from whose beginning messages were deleted, by retention or by hand."""
        async with self._consumer(self._topics) as (consumer, partitions):
            firsts = await consumer.beginning_offsets(partitions)
        return {p.topic for p, first in firsts.items() if first > 0}

    def unreadable(self) -> Sequence[Unreadable]:
        """Return what the last call of messages() could not read."""
        return tuple(self._unreadable)

    @asynccontextmanager
    async def _consumer(self, topics: Sequence[str]) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        consumer = AIOKafkaConsumer(
            *topics,
            client_id="payments-audit",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=True,
            max_partition_fetch_bytes=FETCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        try:
            try:
                await begun(consumer.start())
            except NO_ANSWER as error:
                raise start_failure(self._kafka, error) from error
            with _asking():
                partitions = [TopicPartition(t, n) for t in topics for n in consumer.partitions_for_topic(t) or ()]
                consumer.unsubscribe()
                yield consumer, partitions
        finally:
            await stop_consumer(consumer)


class _Careful:
    """Reads single partitions by our own requests, where the client fails."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._kafka = kafka
        self._readers: dict[str, CarefulReader] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def read(
        self, p: TopicPartition, offset: int, end: int, unreadable: list[Unreadable]
    ) -> tuple[list[TopicMessage], int]:
        """Read on from this offset; return messages and the next offset. What cannot be read is added to unreadable."""
        reader = self._reader(p.topic)
        look = await reader.read(p.partition, offset, BATCH)
        if look.gone:
            return [], end
        messages = [_message(message_of(p, record)) for record in look.records if record.offset < end]
        if look.fault is None or look.records:
            return messages, look.next
        found = (await reader.end_of(p.partition, look.fault)).last
        last = end - 1 if found is None else min(found, end - 1)
        unreadable.append(Unreadable(p.topic, p.partition, offset, last, look.fault.cause))
        return [], last + 1

    def _reader(self, topic: str) -> CarefulReader:
        if topic not in self._readers:
            wire = Wire(topic, "", self._kafka)
            self._stack.push_async_callback(wire.close)
            self._readers[topic] = CarefulReader(wire)
        return self._readers[topic]


@contextmanager
def _asking() -> Iterator[None]:
    """Turn what the client raises into Transient."""
    try:
        yield
    except NO_ANSWER as error:
        raise Transient(f"Kafka did not answer the audit ({type(error).__name__}): try again") from error


async def _offsets_of(admin: AIOKafkaAdminClient, group: str) -> dict[tuple[str, int], int]:
    """Return the offsets that a group has committed.

    aiokafka's own method takes an error of the whole group (its coordinator moves or loads) for a group without any.
    """
    node = await coordinator_of(admin, group)
    request = OffsetFetchRequest(group, None)
    response: Any = await admin._send_request(request, node)  # noqa: SLF001 - there is no public way to send one
    answers = [(topic, *of) for topic, partitions in response.topics for of in partitions]
    for code in (getattr(response, "error_code", 0), *(answer[-1] for answer in answers)):
        error = for_code(code)
        if error is not NoError:
            raise error(f"where {group} stands")
    return {(topic, partition): offset for topic, partition, offset, _, _ in answers if offset >= 0}


async def _read(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, Sequence[Any]] | None:
    """Read on in all partitions; None if the client failed at one: it may have moved on in others."""
    try:
        read: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
            *partitions, timeout_ms=WAIT_MS, max_records=BATCH
        )
    except BaseException as error:  # noqa: BLE001 - a codec's own errors belong to no family
        raise_unless_of_one(error)
        return None
    return read


def _message(read: Any) -> TopicMessage:
    """Convert a message of the client or of CarefulReader for the audit."""
    at_ms = read.timestamp_ms if isinstance(read, Message) else read.timestamp
    return TopicMessage(read.topic, read.partition, read.offset, read.key, read.value, read.headers, at_ms)

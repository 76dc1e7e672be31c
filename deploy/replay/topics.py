"""Reads topics partition by partition, each up to its last stable offset of now. No consumer group, no effect.

A user who may Describe and Read the topic suffices. The client may fail at a batch, or pass over one without a word.
So whatever does not come without gaps is read again by our own requests.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from consumers.adapters.kafka.careful import CarefulReader
from consumers.adapters.kafka.closing import begun, stop_consumer
from consumers.adapters.kafka.group_reader import raise_unless_of_one
from consumers.adapters.kafka.no_answer import NO_ANSWER
from consumers.adapters.kafka.unpacking import bound_unpacking
from consumers.adapters.kafka.wire import Wire
from deploy.failures import NOT_REACHED, Failure
from deploy.settings import Settings
from domain.errors import Transient
from producers.connection import start_failure
from schemas.topics import topic_name

CLIENT_ID: Final = "payments-replay"
REQUEST_TIMEOUT_MS: Final = 30_000
FETCH_BYTES: Final = 4 << 20
BATCH: Final = 5_000
"""Messages at a time. Columns are read with some hundred calls, however many messages there are."""
BATCH_BYTES: Final = 8 << 20
"""Of these messages: what a broker sends packed may be a thousand times longer."""
STEP: Final = 100
"""Messages that the client gives at a time. It knows no bytes, and a message may have a megabyte."""
WAIT_MS: Final = 1_000
EMPTY_MAX: Final = 2
"""After so many empty reads, though messages are left, they are read by our own requests."""


class Message(Protocol):
    """A message, as the client gives it."""

    @property
    def offset(self) -> int:
        """Return its offset."""
        ...

    @property
    def timestamp(self) -> int:
        """Return its own timestamp, in milliseconds since 1970."""
        ...

    @property
    def key(self) -> bytes | None:
        """Return its key."""
        ...

    @property
    def value(self) -> bytes | None:
        """Return its body, with framing."""
        ...


class _Careful(NamedTuple):
    """A message that our own requests gave."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Lost(NamedTuple):
    """Offsets that cannot be read, the last one included."""

    first: int
    last: int
    cause: str


class Read(NamedTuple):
    """What was read of a partition. next: the offset to go on with. lost: what lies before it and cannot be read."""

    event_type: str
    topic_id: str
    partition: int
    messages: Sequence[Message]
    next: int
    lost: Lost | None = None


class Bounds(NamedTuple):
    """A partition's first offset, and the one behind its last stable one."""

    first: int
    end: int


class TopicReader:
    """Reads one topic at a time. Raises Transient when no broker answers."""

    def __init__(self, consumer: AIOKafkaConsumer, wire: Wire, event_type: str, topic: str) -> None:
        self._consumer = consumer
        self._wire = wire
        self._careful = CarefulReader(wire)
        self._event_type = event_type
        self._topic = topic
        self.topic_id = ""
        self.bounds: Mapping[int, Bounds] = {}

    async def look(self) -> None:
        """Find the topic's id and partitions. Raises Failure if it is not there or may not be read."""
        found = await self._wire.topic()
        if found is None:
            raise Failure(f"there is no topic {self._topic}: check PAYMENTS_TOPIC_PREFIX", NOT_REACHED)
        self.topic_id = found.topic_id
        partitions = [TopicPartition(self._topic, n) for n in sorted(found.partitions)]
        with _asking(self._topic):
            firsts = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
        self.bounds = {p.partition: Bounds(firsts[p], ends[p]) for p in partitions}

    async def first_since(self, timestamp_ms: int) -> Mapping[int, int]:
        """Return by partition the first offset of a message of this timestamp or later; the end if there is none."""
        asked = {TopicPartition(self._topic, n): timestamp_ms for n in self.bounds}
        with _asking(self._topic):
            found = await self._consumer.offsets_for_times(asked)
        return {p.partition: self.bounds[p.partition].end if at is None else at.offset for p, at in found.items()}

    async def read(self, partition: int, start: int) -> AsyncIterator[Read]:
        """Read a partition from this offset to its end of `look`."""
        consumer, place, end = self._consumer, TopicPartition(self._topic, partition), self.bounds[partition].end
        at, empty = start, 0
        if at >= end:
            return
        consumer.assign([place])
        consumer.seek(place, at)
        while at < end:
            found = await self._take(place)
            empty = 0 if found else empty + 1
            if found and found[0].offset == at and found[-1].offset == at + len(found) - 1:
                messages = found[: end - at]
                at += len(messages)
                yield Read(self._event_type, self.topic_id, partition, messages, at)
                continue
            upto = found[-1].offset + 1 if found else at
            if found is not None and upto == at:
                upto = await consumer.position(place)
            if found is not None and upto == at and empty < EMPTY_MAX:
                continue
            behind = upto
            while at < min(max(upto, at + 1), end):
                read = await self._read_carefully(partition, at)
                at = read.next
                yield read
            if at != behind:
                consumer.seek(place, at)

    async def _take(self, place: TopicPartition) -> Sequence[Any] | None:
        """Take what the client has, up to BATCH or a little more than BATCH_BYTES; None if it failed at the data."""
        taken: list[Any] = []
        size = 0
        while len(taken) < BATCH and size < BATCH_BYTES:
            try:
                found: Mapping[TopicPartition, Sequence[Any]] = await self._consumer.getmany(
                    place, timeout_ms=0 if taken else WAIT_MS, max_records=STEP
                )
            except BaseException as error:  # noqa: BLE001 - a codec's own errors belong to no family
                raise_unless_of_one(error)
                return None
            messages = found.get(place, ())
            if not messages:
                break
            taken += messages
            size += sum(len(message.value or b"") + len(message.key or b"") for message in messages)
        return taken

    async def _read_carefully(self, partition: int, at: int) -> Read:
        """Read on from this offset by our own requests. What cannot be read is lost."""
        end = self.bounds[partition].end
        look = await self._careful.read(partition, at, BATCH)
        if look.gone:
            first, _ = await self._wire.bounds(partition)
            last = max(min(first, end), at + 1) - 1
            lost = Lost(at, last, "the messages were deleted while they were read")
            return Read(self._event_type, self.topic_id, partition, (), last + 1, lost)
        messages = [_Careful(r.offset, r.timestamp_ms, r.key, r.value) for r in look.records if r.offset < end]
        if look.fault is None or look.records:
            return Read(self._event_type, self.topic_id, partition, messages, min(look.next, end))
        found = (await self._careful.end_of(partition, look.fault)).last
        last = end - 1 if found is None else min(found, end - 1)
        return Read(self._event_type, self.topic_id, partition, (), last + 1, Lost(at, last, look.fault.cause))


class Topics:
    """Opens readers that share a client."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._consumer = consumer

    @asynccontextmanager
    async def topic(self, event_type: str) -> AsyncIterator[TopicReader]:
        """Look at a topic, and give its reader."""
        topic = topic_name(self._settings.topic_prefix, event_type)
        wire = Wire(topic, "", self._settings.kafka_options())
        try:
            reader = TopicReader(self._consumer, wire, event_type, topic)
            await reader.look()
            yield reader
        finally:
            await wire.close()


@asynccontextmanager
async def open_topics(settings: Settings) -> AsyncIterator[Topics]:
    """Connect to Kafka. Raises KafkaDown when no broker answers or the login is refused."""
    bound_unpacking(settings.unpacked_bytes_max)
    kafka = settings.kafka_options()
    consumer = AIOKafkaConsumer(
        client_id=CLIENT_ID,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=True,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        **kafka,
    )
    try:
        try:
            await begun(consumer.start())
        except NO_ANSWER as error:
            raise start_failure(kafka, error) from error
        yield Topics(settings, consumer)
    finally:
        await stop_consumer(consumer)


@contextmanager
def _asking(topic: str) -> Iterator[None]:
    """Turn what the client raises into what to do."""
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise Failure(
            f"Kafka forbids this user to read {topic}: it needs Describe and Read on it", NOT_REACHED
        ) from error
    except NO_ANSWER as error:
        raise Transient(f"Kafka did not answer ({type(error).__name__}): try again") from error

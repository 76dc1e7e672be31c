"""The publisher behind the outbox: batches by partition, acknowledged by all in-sync replicas, order kept per key."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2

from domain.errors import Transient
from domain.ports.publisher import OutgoingMessage, Published
from producers.connection import BATCH_BYTES_MAX, discard_producer, start_producer, stop_producer

DEADLINE_S = 30.0
TOPIC_WAIT_S = 2.0
TOPIC_POLL_S = 0.1
# A broker reads requests of at most 100 MB (socket.request.max.bytes) and hangs up on longer ones without a word.
WAVE_BYTES_MAX = 32_000_000
RECORD_BYTES_MAX = 16_000_000
KEYS_REMEMBERED = 32_768

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
REFUSALS = (*TOO_LARGE, InvalidTopicError, TopicAuthorizationFailedError)


@lru_cache(maxsize=KEYS_REMEMBERED)
def _hash_of(key: bytes) -> int:
    """Hash a key as every Kafka client does by default, so that a key has one partition whoever publishes.

    An order's messages come close together; remembering saves most of aiokafka's hashing in Python.
    """
    return int(murmur2(key)) & 0x7FFFFFFF


@dataclass(slots=True)
class _Lane:
    """One partition's messages, in order. records_max falls when the broker finds a batch too large."""

    topic: str
    partition: int
    waiting: deque[OutgoingMessage] = field(default_factory=deque)
    records_max: int = BATCH_BYTES_MAX


@dataclass(slots=True)
class _Sent:
    """A batch on its way, and whose messages it holds."""

    lane: _Lane
    messages: list[OutgoingMessage]
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Ledger:
    """What became of the messages so far."""

    acknowledged: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def hold(self, lane: _Lane, first: OutgoingMessage, reason: str) -> None:
        """Refuse a message and hold what waits behind it on its partition, so that nothing overtakes it."""
        self.refused[first.id] = reason
        for message in lane.waiting:
            self.refused[message.id] = f"held behind message {first.id} of the same partition: {reason}"
        lane.waiting.clear()


class KafkaPublisher:
    """An idempotent producer of batches (domain.ports.publisher.Publisher), for one relay.

    kafka: connection options of aiokafka (Settings.kafka_options()). deadline_s: seconds that a batch may go without an
    answer, retries included, before everything is given up as Transient.

    Throughput comes from filling one batch per partition ourselves: aiokafka's send() costs a future and several
    look-ups a message. Sequence numbers are drawn when a batch leaves (MessageAccumulator._pop_batch), for batches
    filled by hand as for its own, and a partition has one batch in flight: order and idempotence hold.
    """

    def __init__(self, kafka: Mapping[str, Any], *, deadline_s: float = DEADLINE_S) -> None:
        self._kafka = kafka
        self._deadline_s = deadline_s
        self._producer: AIOKafkaProducer | None = None
        self._stale = False
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises DownForEverybody when no broker answers, Transient for anything else."""
        if self._producer is None:
            self._producer = await start_producer(self._kafka)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def publish(self, messages: Sequence[OutgoingMessage]) -> Published:
        """Send all, per key in the given order, and wait for the acknowledgements of all in-sync replicas.

        Every id comes back, acknowledged or refused. A message behind a refused one of its partition is not sent and
        comes back refused too, "held behind", so that it cannot overtake. Raises Transient for anything but refusals;
        then this publisher is at its end, some messages may have been sent, and a new publisher starts over.
        """
        async with self._turn:
            if self._producer is None:
                raise Transient("this publisher is not started or has failed: make a new one")
            try:
                return await self._publish(messages)
            except (KafkaError, TimeoutError, OSError) as error:
                await self._discard()
                raise Transient(f"Kafka did not take the messages ({type(error).__name__}): try again") from error
            except BaseException:
                await self._discard()
                raise

    async def close(self) -> None:
        """Give up the connections. Calling it again does nothing."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard_producer(producer)

    async def _fresh_producer(self) -> AIOKafkaProducer:
        """Replace a producer that a broker refused a batch of: its sequence numbers have a gap from then on."""
        if self._stale:
            await self.close()
            await self.start()
            self._stale = False
        assert self._producer is not None
        return self._producer

    async def _publish(self, messages: Sequence[OutgoingMessage]) -> Published:
        ledger = _Ledger()
        lanes = await self._into_lanes(messages, ledger)
        while lanes:
            # Ends: every wave sends or refuses a message, or halves the records_max of a lane.
            sent = await self._send_wave(await self._fresh_producer(), lanes, ledger)
            await self._settle_wave(sent, ledger)
            lanes = [lane for lane in lanes if lane.waiting]
        return Published(ledger.acknowledged, ledger.refused)

    async def _into_lanes(self, messages: Sequence[OutgoingMessage], ledger: _Ledger) -> list[_Lane]:
        """Sort messages by partition; those of topics that cannot be written to are refused."""
        partitions: dict[str, int] = {}
        missing: dict[str, str] = {}
        lanes: dict[tuple[str, int], _Lane] = {}
        for message in messages:
            topic = message.topic
            if topic not in partitions and topic not in missing:
                found = await self._partitions_of(topic)
                if isinstance(found, int):
                    partitions[topic] = found
                else:
                    missing[topic] = found
            if topic in missing:
                ledger.refused[message.id] = missing[topic]
                continue
            # A message without a key has no order to keep; its id spreads such messages evenly.
            number = message.id if message.key is None else _hash_of(message.key)
            place = (topic, number % partitions[topic])
            lane = lanes.get(place)
            if lane is None:
                lane = lanes[place] = _Lane(*place)
            lane.waiting.append(message)
        return list(lanes.values())

    async def _partitions_of(self, topic: str) -> int | str:
        """Count a topic's partitions, or say why there are none.

        A topic may be seconds old and not yet known to every broker, so a short while is waited.
        """
        client = (await self._fresh_producer()).client
        if found := client.cluster.partitions_for_topic(topic):
            return len(found)
        loop = asyncio.get_running_loop()
        until = loop.time() + TOPIC_WAIT_S
        await client.add_topic(topic)
        while not (found := client.cluster.partitions_for_topic(topic)):
            async with asyncio.timeout(self._deadline_s):
                if not await client.force_metadata_update():
                    raise TimeoutError
            if topic in client.cluster.unauthorized_topics:
                return f"not allowed to write to topic {topic}: grant this user WRITE and DESCRIBE on it"
            if loop.time() > until:
                return f"topic {topic} does not exist: run `payments topics create`"
            await asyncio.sleep(TOPIC_POLL_S)
        return len(found)

    async def _send_wave(self, producer: AIOKafkaProducer, lanes: Sequence[_Lane], ledger: _Ledger) -> list[_Sent]:
        """Hand over the next batch of every lane, as far as one request carries."""
        sent = []
        room = WAVE_BYTES_MAX
        for lane in lanes:
            batch = producer.create_batch()
            taken = _fill(batch, lane, ledger)
            if not taken:
                continue
            room -= batch.size()
            sent.append(_Sent(lane, taken, await producer.send_batch(batch, lane.topic, partition=lane.partition)))
            if room <= 0:
                break
        return sent

    async def _settle_wave(self, sent: Sequence[_Sent], ledger: _Ledger) -> None:
        """Wait for every answer and write it down. Raises what the brokers said unless it is a refusal."""
        if not sent:
            return
        answers = [each.answer for each in sent]
        try:
            done, late = await asyncio.wait(answers, timeout=self._deadline_s)
        except asyncio.CancelledError:
            for answer in answers:
                answer.cancel()
            raise
        for answer in late:
            answer.cancel()
        failures = {answer: error for answer in done if (error := answer.exception()) is not None}
        if grave := next((error for error in failures.values() if not isinstance(error, REFUSALS)), None):
            raise grave
        if late:
            raise TimeoutError
        for each in sent:
            self._settle(each, failures.get(each.answer), ledger)

    def _settle(self, sent: _Sent, error: BaseException | None, ledger: _Ledger) -> None:
        if error is None:
            ledger.acknowledged.extend(message.id for message in sent.messages)
            return
        self._stale = True
        first, *others = sent.messages
        sent.lane.waiting.extendleft(reversed(sent.messages))
        if isinstance(error, TOO_LARGE) and others:
            # The broker's limit is on the batch: smaller ones find the message that is too large by itself, if any.
            sent.lane.records_max = len(sent.messages) // 2
            return
        sent.lane.waiting.popleft()
        ledger.hold(sent.lane, first, _reason(error, sent.lane.topic))


def _fill(batch: Any, lane: _Lane, ledger: _Ledger) -> list[OutgoingMessage]:
    """Move messages from a lane into a batch until either is at its end."""
    taken: list[OutgoingMessage] = []
    waiting = lane.waiting
    append = batch.append
    while waiting and len(taken) < lane.records_max:
        message = waiting[0]
        if message.value is not None and len(message.value) > RECORD_BYTES_MAX:
            if not taken:
                ledger.hold(lane, waiting.popleft(), f"over {RECORD_BYTES_MAX} bytes, which no broker takes")
            break
        if append(timestamp=None, key=message.key, value=message.value, headers=list(message.headers)) is None:
            break
        taken.append(waiting.popleft())
    return taken


def _reason(error: BaseException, topic: str) -> str:
    if isinstance(error, TOO_LARGE):
        return f"larger than topic {topic} takes: raise max.message.bytes of the topic, or mend the message"
    if isinstance(error, TopicAuthorizationFailedError):
        return f"not allowed to write to topic {topic}: grant this user WRITE on it"
    return f"{topic} is no valid topic: check PAYMENTS_TOPIC_PREFIX"

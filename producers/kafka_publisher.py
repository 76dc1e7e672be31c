"""The publisher behind the outbox: batches by partition, acknowledged by all in-sync replicas, order kept per key."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from domain.errors import KafkaDown, Transient
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Refusal, Scope, always
from producers.connection import discard_producer, start_producer, stop_producer
from producers.hashing import hash_of
from producers.lanes import RECORD_BYTES_MAX, Lane, Ledger, Stamp, size_of
from producers.refusals import Family, family_of

DEADLINE_S = 30.0
TOPIC_WAIT_S = 2.0
TOPIC_POLL_S = 0.1
# What one deadline carries over a slow line. A broker hangs up on requests over 100 MB (socket.request.max.bytes).
WAVE_BYTES_MAX = 8_000_000
TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")


_Answer = asyncio.Future[Any]


@dataclass(slots=True)
class _Sent:
    """A batch on its way, and whose messages it holds."""

    lane: Lane
    messages: list[OutgoingMessage]
    answer: _Answer


class KafkaPublisher:
    """An idempotent producer of batches (domain.ports.publisher.Publisher), for one relay.

    kafka: connection options of aiokafka (Settings.kafka_options()). deadline_s: seconds that a batch may go without an
    answer, retries included. stamp: what time a batch bears.

    Throughput comes from filling one batch per partition ourselves: aiokafka's send() costs a future and several
    look-ups a message. Sequence numbers are drawn when a batch leaves (MessageAccumulator._pop_batch), for batches
    filled by hand as for its own, and a partition has one batch in flight: order and idempotence hold.
    """

    def __init__(self, kafka: Mapping[str, Any], *, deadline_s: float = DEADLINE_S, stamp: Stamp = None) -> None:
        self._kafka = kafka
        self._deadline_s = deadline_s
        self._stamp = stamp
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

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all, per key in the given order, and wait for the acknowledgements of all in-sync replicas.

        A message behind a refused one of its key is not sent and comes back refused too, so that it cannot overtake.
        For the rest see the port.
        """
        async with self._turn:
            if self._producer is None:
                raise KafkaDown("this publisher is not started or has failed: make a new one")
            ledger = Ledger()
            try:
                await self._publish(messages, ledger, allowed)
            except (KafkaError, TimeoutError, OSError, Transient) as error:
                await self._discard()
                named = isinstance(error, Transient)
                why = str(error) if named else f"Kafka did not take the messages ({type(error).__name__}): try again"
                if ledger.acknowledged or ledger.refused:
                    raise Interrupted(why, ledger.published()) from error
                raise KafkaDown(why) from error
            except BaseException:
                await self._discard()
                raise
            return ledger.published()

    async def close(self) -> None:
        """Give up the connections. Calling it again does nothing."""
        if self._stale:
            await self._discard()
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def _discard(self) -> None:
        self._stale = False
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard_producer(producer)

    async def _fresh_producer(self) -> AIOKafkaProducer:
        """Replace a producer that a broker refused a batch of, or owes an answer: its sequence numbers have a gap."""
        if self._stale:
            await self._discard()
            await self.start()
        assert self._producer is not None
        return self._producer

    async def _publish(self, messages: Sequence[OutgoingMessage], ledger: Ledger, allowed: Callable[[], bool]) -> None:
        lanes = ledger.close_lanes(await self._into_lanes(messages, ledger))
        while lanes:
            # Ends: every wave sends or refuses a message, or has fewer records of a lane next time.
            producer = await self._fresh_producer()
            if not allowed():
                ledger.stop(lanes, "this process may send nothing more at the moment")
                return
            await self._settle_wave(await self._send_wave(producer, lanes, ledger), ledger, allowed)
            lanes = ledger.close_lanes(lanes)

    async def _into_lanes(self, messages: Sequence[OutgoingMessage], ledger: Ledger) -> list[Lane]:
        """Sort messages by partition; those of topics that cannot be written to are refused."""
        partitions: dict[str, int] = {}
        lanes: dict[tuple[str, int], Lane] = {}
        for message in messages:
            topic = message.topic
            count = partitions.get(topic)
            if count is None:
                count = partitions[topic] = await self._partitions_of(topic, ledger)
            # A message without a key has no order to keep; its id spreads such messages evenly.
            number = message.id if message.key is None else hash_of(message.key)
            place = (topic, number % count)
            lane = lanes.get(place)
            if lane is None:
                lane = lanes[place] = Lane(*place)
            lane.waiting.append(message)
        return list(lanes.values())

    async def _partitions_of(self, topic: str, ledger: Ledger) -> int:
        """Count a topic's partitions. One that cannot be written to is closed, and counts as one.

        A topic may be seconds old and not yet known to every broker, so a short while is waited.
        """
        client = (await self._fresh_producer()).client
        if found := client.cluster.partitions_for_topic(topic):
            return len(found)
        if TOPIC.fullmatch(topic) is None:
            return _close(ledger, topic, f"{topic[:300]!r} is no valid topic: check PAYMENTS_TOPIC_PREFIX")
        loop = asyncio.get_running_loop()
        until = loop.time() + TOPIC_WAIT_S
        await client.add_topic(topic)
        while not (found := client.cluster.partitions_for_topic(topic)):
            async with asyncio.timeout(self._deadline_s):
                if not await client.force_metadata_update():
                    raise TimeoutError
            if topic in client.cluster.unauthorized_topics:
                why = f"not allowed to write to topic {topic}: grant this user WRITE and DESCRIBE on it"
                return _close(ledger, topic, why)
            if loop.time() > until:
                return _close(ledger, topic, f"topic {topic} does not exist: run `payments topics create`")
            await asyncio.sleep(TOPIC_POLL_S)
        return len(found)

    async def _send_wave(self, producer: AIOKafkaProducer, lanes: Sequence[Lane], ledger: Ledger) -> list[_Sent]:
        """Hand over the next batch of every lane, as far as one request carries."""
        sent = []
        room = WAVE_BYTES_MAX
        for lane in lanes:
            while lane.waiting and size_of(lane.waiting[0]) > RECORD_BYTES_MAX:
                ledger.blame(lane, Refusal(f"over {RECORD_BYTES_MAX} bytes, which no broker takes", Scope.MESSAGE))
            if not lane.waiting:
                continue
            batch = producer.create_batch()
            taken = lane.fill(batch, self._stamp)
            room -= batch.size()
            sent.append(_Sent(lane, taken, await producer.send_batch(batch, lane.topic, partition=lane.partition)))
            if room <= 0:
                break
        return sent

    async def _settle_wave(self, sent: Sequence[_Sent], ledger: Ledger, allowed: Callable[[], bool]) -> None:
        """Wait for every answer and write it down. Raises what concerns more than a partition."""
        if not sent:
            return
        done, late = await self._await_answers([each.answer for each in sent])
        failures = {answer: error for answer in done if (error := answer.exception()) is not None}
        silent: list[_Sent] = []
        for each in sent:
            error = failures.get(each.answer)
            if each.answer in late or (error is not None and family_of(error) is Family.PARTITION):
                silent.append(each)
            elif error is None:
                ledger.take(each.lane, each.messages)
            elif family_of(error) is not Family.PRODUCER:
                self._stale = True
                ledger.refuse(each.lane, each.messages, error)
        if grave := next((error for error in failures.values() if family_of(error) is Family.PRODUCER), None):
            raise grave
        if silent:
            # Who may send nothing more was perhaps frozen meanwhile: silence says nothing about a partition then.
            self._settle_silent(silent, ledger, answered=len(silent) < len(sent) and allowed())

    async def _await_answers(self, answers: Sequence[_Answer]) -> tuple[set[_Answer], set[_Answer]]:
        """Wait for them up to the deadline; return those that came and those that did not."""
        done: set[_Answer] = set()
        try:
            done, _ = await asyncio.wait(answers, timeout=self._deadline_s)
        finally:
            late = set(answers) - done
            for answer in late:
                answer.cancel()
        return done, late

    def _settle_silent(self, silent: Sequence[_Sent], ledger: Ledger, *, answered: bool) -> None:
        """Hold the topics of partitions that do not answer, if others do. Raises TimeoutError if nobody does."""
        if not answered:
            raise TimeoutError
        self._stale = True
        for each in silent:
            each.lane.put_back(each.messages)
            why = (
                f"partition {each.lane.partition} gave no answer for {self._deadline_s:g} s, and others did: it has no "
                "leader, or fewer replicas in sync than min.insync.replicas"
            )
            ledger.closed[each.lane.topic] = Refusal(why, Scope.TOPIC, "topic_stalled")


def _close(ledger: Ledger, topic: str, why: str) -> int:
    ledger.closed[topic] = Refusal(why, Scope.TOPIC)
    return 1

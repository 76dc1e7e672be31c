"""Reading of all partitions with the group's client, of which nothing is lost when it fails at one of them.

aiokafka 0.14 takes records out of several partitions, moves their positions, and then may raise for the next one: the
records are gone. So positions are kept here. Whatever it raises, every partition goes back to what was handed out;
then each is read by itself for a while, so that the one at fault shows.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    UnsupportedCodecError,
)

from consumers.adapters.kafka.lanes import CALM_S, Lane, Lanes, is_possible, is_regular
from domain.errors import Transient
from domain.ports.source import Message

DOUBT_S: Final = 2
"""So long each partition is read by itself after a failure: several may be at fault."""
DOUBT_POLL_S: Final = 0.005
REBALANCE_S: Final = 0.5
"""So much longer than it is told to may the client wait. Until all members have joined again, it waits without end."""
OF_ONE: Final = (
    CorruptRecordException,
    UnsupportedCodecError,
    RecordTooLargeError,
    OffsetOutOfRangeError,
    NoOffsetForPartitionError,
)
"""Errors of Kafka's family that are about one partition. Those of a codec, or of text, belong to no family."""


class Rebalancing(Transient):
    """The group is sharing out its partitions; until that is done there is nothing to read."""


class Together:
    """Reads the lanes that are not apart, and sends those apart at which it fails."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._doubt_until = 0.0

    async def read(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        """Return what is there, at most so many; wait so long for the first. Raises Transient; nothing is lost."""
        if _now() < self._doubt_until:
            return await self._one_by_one(consumer, limit, wait_s)
        try:
            found = await _get(consumer, limit, wait_s)
        except Rebalancing:
            raise
        except BaseException as error:  # noqa: BLE001 - a codec in Rust may raise one that is no Exception
            self._put_back(consumer)
            must_be_of_one(error)
            if isinstance(error, NoOffsetForPartitionError):
                return []  # assigned a moment ago, and the group has never committed: it is settled next
            self._doubt_until = _now() + DOUBT_S
            return await self._one_by_one(consumer, limit, 0)
        return self._hand_out(consumer, found)

    def send_apart(self, consumer: AIOKafkaConsumer, lane: Lane, to: int = -1) -> None:
        """Have a lane read apart, at least so far."""
        stop(consumer, lane)
        lane.read_apart(_now() + (CALM_S if to < 0 else 0), to)
        self._lanes.look()

    async def _one_by_one(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        """Read each partition by itself: what is raised is its fault, and no other has moved."""
        messages: list[Message] = []
        end = _now() + wait_s
        while True:
            failed = False
            for lane in self._lanes.together():
                if len(messages) >= limit:
                    break
                try:
                    found = await _get(consumer, limit - len(messages), 0, lane.partition)
                except BaseException as error:  # noqa: BLE001 - as above
                    self._put_back_one(consumer, lane)
                    try:
                        must_be_of_one(error)
                    except Transient:
                        if messages:
                            return messages
                        raise
                    failed = True
                    if lane.next is not None:
                        self.send_apart(consumer, lane)
                else:
                    messages += self._hand_out(consumer, found)
            if messages or failed or _now() >= end:
                return messages
            await asyncio.sleep(DOUBT_POLL_S)

    def _hand_out(self, consumer: AIOKafkaConsumer, found: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """Take down that these records are handed out; those of a partition where some seem to be missing are not."""
        messages: list[Message] = []
        for partition, records in found.items():
            # Records may come with the assignment, before we know where the group stands and on which topic.
            lane = self._lanes.of.setdefault(partition, Lane(partition))
            if lane.next is None:
                self._lanes.unsettled.add(partition)
                continue
            if not is_regular(lane, records) and not is_possible(lane, records, consumer.highwater(partition), _now()):
                self._put_back_one(consumer, lane)
                self.send_apart(consumer, lane, records[-1].offset)
                continue
            lane.next = records[-1].offset + 1
            lane.stalls = 0
            messages += [
                Message(r.topic, r.partition, r.offset, r.key, r.value, r.headers, r.timestamp) for r in records
            ]
        return messages

    def _put_back(self, consumer: AIOKafkaConsumer) -> None:
        for lane in self._lanes.of.values():
            self._put_back_one(consumer, lane)

    def _put_back_one(self, consumer: AIOKafkaConsumer, lane: Lane) -> None:
        if lane.next is None:
            self._lanes.unsettled.add(lane.partition)
        else:
            seek(consumer, lane)


def seek(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Have the client go on behind what was handed out, if the partition is ours still."""
    if lane.partition in consumer.assignment():
        consumer.seek(lane.partition, lane.next)


def stop(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Have the client leave this partition alone."""
    if lane.partition in consumer.assignment():
        consumer.pause(lane.partition)


def go_on(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Have the client read this partition again, behind what was handed out."""
    if lane.partition in consumer.assignment():
        seek(consumer, lane)
        consumer.resume(lane.partition)


async def _get(
    consumer: AIOKafkaConsumer, limit: int, wait_s: float, *of: TopicPartition
) -> Mapping[TopicPartition, Sequence[Any]]:
    """Take what the client has. Raises Rebalancing; the client had not begun to take anything then."""
    try:
        async with asyncio.timeout(wait_s + REBALANCE_S):
            found: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
                *of, timeout_ms=int(wait_s * 1000), max_records=limit
            )
    except TimeoutError as error:
        raise Rebalancing("the group is sharing out its partitions") from error
    return found


def must_be_of_one(error: BaseException) -> None:
    """Return if the error may be about what stands in one partition; else raise, Transient for what is Kafka's."""
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        raise error
    if isinstance(error, Rebalancing):
        raise error
    if isinstance(error, KafkaError) and not isinstance(error, OF_ONE):
        raise Transient(f"Kafka does not answer: {error!r}") from error


def _now() -> float:
    return asyncio.get_running_loop().time()

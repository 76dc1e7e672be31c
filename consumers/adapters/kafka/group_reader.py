"""Reads partitions with the group's client, and loses nothing when the client fails at one of them.

aiokafka 0.14 takes records out of several partitions, moves their positions, and then may raise for the next one: the
records are gone. So we keep the positions ourselves. After any error, every partition goes back to the last message
that was handed out. Then each is read by itself for a while, which shows the one at fault.
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

from consumers.adapters.kafka.lanes import CALM_S, Lane, Lanes, clock, is_gapless, may_have_gaps
from domain.errors import Transient
from domain.ports.source import Message

DOUBT_S: Final = 2
"""How long each partition is read by itself after a failure: several may be at fault."""
DOUBT_POLL_S: Final = 0.005
REBALANCE_S: Final = 0.5
"""How long the client may wait beyond its own time-out. While members are still joining, it would wait without end."""
OF_ONE: Final = (
    CorruptRecordException,
    UnsupportedCodecError,
    RecordTooLargeError,
    OffsetOutOfRangeError,
    NoOffsetForPartitionError,
)
"""Kafka errors about one partition. Errors of a codec or of text are about one as well, but are no Kafka errors."""


class Rebalancing(Transient):
    """The group is assigning its partitions. Until that is done there is nothing to read."""


class GroupReader:
    """Reads the lanes that are not apart. Lanes at which the client fails are read apart from then on."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._doubt_until = 0.0

    async def read(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        """Return at most so many messages; wait so long for the first. Raises Transient; nothing is lost."""
        if clock() < self._doubt_until:
            return await self._read_one_by_one(consumer, limit, wait_s)
        try:
            found = await _get(consumer, limit, wait_s)
        except Rebalancing:
            raise
        except BaseException as error:  # noqa: BLE001 - a codec in Rust may raise one that is no Exception
            for lane in self._lanes.of.values():
                self._put_back(consumer, lane)
            raise_unless_of_one(error)
            if isinstance(error, NoOffsetForPartitionError):
                return []  # just assigned, and the group has never committed: positions are found next
            self._doubt_until = clock() + DOUBT_S
            return await self._read_one_by_one(consumer, limit, 0)
        return self._hand_out(consumer, found)

    def send_apart(self, consumer: AIOKafkaConsumer, lane: Lane, to: int = -1) -> None:
        """Read a lane apart, at least up to this offset."""
        pause(consumer, lane)
        lane.read_apart(clock() + (CALM_S if to < 0 else 0), to)
        self._lanes.note_quiet()

    async def _read_one_by_one(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        """Read each partition by itself: an error is then about this one, and no other has moved."""
        messages: list[Message] = []
        end = clock() + wait_s
        while True:
            failed = False
            for lane in self._lanes.of_group():
                if len(messages) >= limit:
                    break
                try:
                    found = await _get(consumer, limit - len(messages), 0, lane.partition)
                except BaseException as error:  # noqa: BLE001 - as above
                    self._put_back(consumer, lane)
                    try:
                        raise_unless_of_one(error)
                    except Transient:
                        if messages:
                            return messages
                        raise
                    failed = True
                    if lane.next is not None:
                        self.send_apart(consumer, lane)
                else:
                    messages += self._hand_out(consumer, found)
            if messages or failed or clock() >= end:
                return messages
            await asyncio.sleep(DOUBT_POLL_S)

    def _hand_out(self, consumer: AIOKafkaConsumer, found: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """Hand out these records, except those of a partition where some seem to be missing."""
        messages: list[Message] = []
        for partition, records in found.items():
            # Records may come with the assignment, before we know the group's position and the topic's id.
            lane = self._lanes.of.setdefault(partition, Lane(partition))
            if lane.next is None:
                self._lanes.unplaced.add(partition)
                continue
            if not is_gapless(lane, records) and not may_have_gaps(
                lane, records, consumer.highwater(partition), clock()
            ):
                self._put_back(consumer, lane)
                self.send_apart(consumer, lane, records[-1].offset)
                continue
            lane.next = records[-1].offset + 1
            lane.stalls = 0
            messages += [
                Message(r.topic, r.partition, r.offset, r.key, r.value, r.headers, r.timestamp) for r in records
            ]
        return messages

    def _put_back(self, consumer: AIOKafkaConsumer, lane: Lane) -> None:
        if lane.next is None:
            self._lanes.unplaced.add(lane.partition)
        else:
            seek(consumer, lane)


def seek(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Move the client behind the last message that was handed out, if the partition is still ours."""
    if lane.partition in consumer.assignment():
        consumer.seek(lane.partition, lane.next)


def pause(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Keep the client from reading this partition."""
    if lane.partition in consumer.assignment():
        consumer.pause(lane.partition)


def resume(consumer: AIOKafkaConsumer, lane: Lane) -> None:
    """Let the client read this partition again, behind the last message that was handed out."""
    if lane.partition in consumer.assignment():
        seek(consumer, lane)
        consumer.resume(lane.partition)


async def _get(
    consumer: AIOKafkaConsumer, limit: int, wait_s: float, *of: TopicPartition
) -> Mapping[TopicPartition, Sequence[Any]]:
    """Take what the client has. Raises Rebalancing, before the client has taken anything."""
    try:
        async with asyncio.timeout(wait_s + REBALANCE_S):
            found: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
                *of, timeout_ms=int(wait_s * 1000), max_records=limit
            )
    except TimeoutError as error:
        raise Rebalancing("the group is assigning its partitions") from error
    return found


def raise_unless_of_one(error: BaseException) -> None:
    """Return if the error may be about the data of one partition. Else raise it, or Transient for a Kafka error."""
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | Rebalancing):
        raise error
    if isinstance(error, KafkaError) and not isinstance(error, OF_ONE):
        raise Transient(f"Kafka does not answer: {error!r}") from error

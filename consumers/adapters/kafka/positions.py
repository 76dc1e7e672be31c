"""Finds where to read: after an assignment, from outside of a partition, and on a topic that was made anew."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.group_reader import resume, seek
from consumers.adapters.kafka.lanes import RETRY_S, Lane, Lanes, clock
from consumers.adapters.kafka.no_answer import NO_ANSWER
from consumers.adapters.kafka.wire import ASK_S, Committed, Wire
from domain.alarms import REMIND_S, Log, ring
from domain.errors import Transient
from domain.ports.source import Stretch

CHECK_TOPIC_S: Final = 10
"""Time between checks of the topic's id. A topic made anew has other messages at the offsets that we know."""


class Positions:
    """Gives lanes their positions. Every method raises Transient when no broker answers."""

    def __init__(self, topic: str, wire: Wire, lanes: Lanes, commits: Commits, log: Log) -> None:
        self._topic = topic
        self._wire = wire
        self._lanes = lanes
        self._commits = commits
        self._log = log
        self._check_at = 0.0
        self._missed_at: float | None = None

    async def find_all(self, consumer: AIOKafkaConsumer) -> None:
        """Begin at the committed offsets, and where there is none at the first message."""
        of, ours = self._lanes.of, set(self._lanes.unplaced)
        topic_id = await self._ask_topic_id()
        if topic_id is None:
            return
        committed = await self._wire.committed([p.partition for p in ours])
        foreign = {p for p in ours if self._is_foreign(committed.get(p.partition))}
        fresh = [p for p in ours if p.partition not in committed or p in foreign]
        begins = await _offsets(consumer.beginning_offsets(fresh))
        if self._lanes.of is not of:
            return  # assigned anew meanwhile
        if foreign:
            self._ring_anew("the offsets that are committed belong to a topic that was deleted")
        self._commits.note_committed(
            {p: committed[p.partition].offset for p in ours - foreign if p.partition in committed}
        )
        for partition in ours:
            lane = of[partition]
            at = begins[partition] if partition in begins else committed[partition.partition].offset
            if lane.stretch is not None and lane.stretch.first != at:
                lane = of[partition] = Lane(partition)
            if lane.next is None or partition in begins:
                lane.next = at
            if lane.is_stopped:
                seek(consumer, lane)
            else:
                resume(consumer, lane)
        self._lanes.unplaced -= ours
        self._lanes.note_quiet()

    async def check_topic(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Begin anew if another topic has the name now. Asks every CHECK_TOPIC_S."""
        if now < self._check_at:
            return
        self._check_at = now + CHECK_TOPIC_S
        of, before = self._lanes.of, self._lanes.topic_id
        try:
            topic_id = await self._ask_topic_id()
        except Transient:
            return  # the next read raises it
        if not before or not topic_id or topic_id == before:
            return
        partitions = list(self._lanes.of)
        try:
            begins = await _offsets(consumer.beginning_offsets(partitions))
        except BaseException:
            # Check again: no message of the new topic may be read as the next one of the old topic.
            self._lanes.topic_id, self._check_at = before, 0.0
            raise
        self._ring_anew("it was deleted and made anew")
        if self._lanes.of is not of:
            return  # assigned anew meanwhile: all positions are found next
        self._commits.forget()
        self._begin(consumer, begins)

    async def find_inside(self, consumer: AIOKafkaConsumer, lane: Lane, now: float) -> None:
        """Find a position for a lane whose own lies outside of the partition."""
        assert lane.next is not None, "a lane has a position before it is read"
        partition = lane.partition
        begin, end = await self._wire.bounds(partition.partition)
        if lane.next > end:
            self._ring_anew(f"it ends at offset {end}, before what we have read of it", partition)
            self._commits.forget([partition])
            self._begin(consumer, {partition: begin})
        elif lane.next < begin:
            cause = "the messages were deleted before this consumer read them"
            lane.stretch = Stretch(
                partition.topic,
                partition.partition,
                lane.next,
                begin - 1,
                cause,
                gone=True,
                topic_id=self._lanes.topic_id,
            )
            lane.waits_until = now + RETRY_S
            ring(
                self._log,
                "messages_lost",
                "messages were deleted before they were read",
                topic=partition.topic,
                partition=partition.partition,
                offset=lane.next,
                to_offset=begin - 1,
            )

    def _begin(self, consumer: AIOKafkaConsumer, begins: Mapping[TopicPartition, int]) -> None:
        for partition, begin in begins.items():
            lane = self._lanes.of[partition] = Lane(partition, begin)
            resume(consumer, lane)
        self._lanes.note_quiet()

    async def _ask_topic_id(self) -> str | None:
        """Return the id of the topic that has the name now. None, after an alarm, if there is none."""
        topic = await self._wire.topic()
        now = clock()
        self._check_at = now + CHECK_TOPIC_S
        if topic is None:
            if self._missed_at is None or now >= self._missed_at + REMIND_S:
                self._missed_at = now
                ring(self._log, "topic_missing", "the topic does not exist", topic=self._topic)
            return None
        self._missed_at = None
        self._lanes.topic_id = topic.topic_id
        return topic.topic_id

    def _is_foreign(self, committed: Committed | None) -> bool:
        """Whether an offset was committed on an earlier topic of the same name."""
        known = self._lanes.topic_id
        return committed is not None and "" not in {committed.topic_id, known} and committed.topic_id != known

    def _ring_anew(self, why: str, partition: TopicPartition | None = None) -> None:
        self._lanes.anew = True
        where = {} if partition is None else {"partition": partition.partition}
        ring(self._log, "topic_made_anew", "reading begins at the first message", topic=self._topic, why=why, **where)


async def _offsets(asked: Awaitable[dict[TopicPartition, int]]) -> dict[TopicPartition, int]:
    """Wait for offsets. Raises Transient when no broker answers in time."""
    try:
        async with asyncio.timeout(ASK_S):
            return await asked
    except NO_ANSWER as error:
        raise Transient(f"Kafka does not answer: {error!r}") from error

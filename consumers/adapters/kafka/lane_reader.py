"""Reads partitions at which the group's client failed, over the wire. What cannot be read blocks its partition.

Other partitions do not wait: one read takes a millisecond or two, and the search for a stretch's end is its own task.
"""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog
from aiokafka import TopicPartition

from consumers.adapters.kafka.batches import Record
from consumers.adapters.kafka.careful import CarefulReader, Look
from consumers.adapters.kafka.lanes import CALM_S, GAPS_CHECKED_S, RETRY_S, Lane, Lanes, clock
from consumers.adapters.kafka.records import Fault
from domain.alarms import REMIND_S, ring
from domain.ports.source import Message, Stretch

SEARCH_AGAIN_S: Final = 120
"""Time between two searches for the end of the same stretch: one may fetch many megabytes."""
AGAIN_S: Final = 1
"""Time until the next read after one that no broker answered."""
UNREADABLE: Final = (("payments_note", b"a header's name is not UTF-8: the headers were left out"),)


class LaneReader:
    """Reads lanes that are apart."""

    def __init__(self, lanes: Lanes, reader: CarefulReader, log: structlog.stdlib.BoundLogger) -> None:
        self._lanes = lanes
        self._reader = reader
        self._log = log
        self._searching: dict[TopicPartition, asyncio.Task[None]] = {}

    async def read(self, lane: Lane, limit: int, now: float) -> list[Message] | None:
        """Read once. Return the messages, or None if the lane's offset lies outside of the partition.

        A fault blocks the lane. Once it is calm, the group's client reads it again. Raises Transient.
        """
        assert lane.next is not None, "a lane has a position before it is read"
        lane.waits_until = now + AGAIN_S
        look = await self._reader.read(lane.partition.partition, lane.next, limit)
        if look.gone:
            return None
        lane.waits_until = 0
        lane.next = look.next
        if any(record.headers is None for record in look.records):
            lane.calm_at = now + CALM_S
        if look.fault is not None and not look.records:
            self._block(lane, look.fault, now)
        else:
            self._clear(lane, look, now)
        return [message_of(lane.partition, record) for record in look.records]

    def forget(self, kept: Collection[TopicPartition] = ()) -> None:
        """End the searches for other partitions than these."""
        for partition in [p for p in self._searching if p not in kept]:
            self._searching.pop(partition).cancel()

    def _clear(self, lane: Lane, look: Look, now: float) -> None:
        """Clear the stretch, which can be read now. Return the lane to the group's client if it is calm."""
        if lane.stretch is not None:
            self._log.info(
                "the stretch can be read now", topic=lane.partition.topic, partition=lane.partition.partition
            )
            lane.stretch, lane.rang_at = None, None
        if look.fault is None and look.next > lane.apart_to and (now >= lane.calm_at or look.next >= look.end):
            lane.gaps_until = now + GAPS_CHECKED_S
            lane.apart, lane.apart_to = False, -1

    def _block(self, lane: Lane, fault: Fault, now: float) -> None:
        lane.waits_until = now + RETRY_S
        lane.calm_at = lane.waits_until + CALM_S
        known = lane.stretch
        if known is not None and self._is_searched(lane, known, fault, now):
            self._note_stretch(lane, known)
            return
        running = self._searching.get(lane.partition)
        if running is None or running.done():
            self._searching[lane.partition] = asyncio.create_task(self._search(lane, fault))

    def _is_searched(self, lane: Lane, known: Stretch, fault: Fault, now: float) -> bool:
        """Whether we searched for the end of this same stretch a short while ago."""
        same = (known.first, known.cause, known.topic_id) == (fault.first, fault.cause, self._lanes.topic_id)
        return same and lane.searched_at is not None and now < lane.searched_at + SEARCH_AGAIN_S

    async def _search(self, lane: Lane, fault: Fault) -> None:
        """Find the end of the stretch, then note the stretch."""
        topic, partition = lane.partition
        try:
            last = (await self._reader.end_of(partition, fault)).last
            lane.searched_at = clock()
        except Exception as error:  # noqa: BLE001 - whatever it is, the alarm must ring
            self._log.info("the end of a stretch was not found", partition=partition, error=repr(error))
            last, lane.searched_at = fault.last, None
        stretch = Stretch(topic, partition, fault.first, last, fault.cause, gone=False, topic_id=self._lanes.topic_id)
        if lane.next == fault.first:
            self._note_stretch(lane, stretch)

    def _note_stretch(self, lane: Lane, stretch: Stretch) -> None:
        """Note what blocks the lane. Ring when that is new, and again from time to time while it lasts."""
        now = clock()
        if lane.stretch != stretch or lane.rang_at is None or now >= lane.rang_at + REMIND_S:
            lane.rang_at = now
            ring(
                self._log,
                "unreadable",
                "a stretch cannot be read; its partition waits, others go on",
                topic=stretch.topic,
                partition=stretch.partition,
                offset=stretch.first,
                to_offset=stretch.last,
                cause=stretch.cause,
            )
        lane.stretch = stretch


def message_of(partition: TopicPartition, record: Record) -> Message:
    """Return a record as a message, without headers that cannot be read: no decision depends on them."""
    headers = UNREADABLE if record.headers is None else record.headers
    return Message(
        partition.topic, partition.partition, record.offset, record.key, record.value, headers, record.timestamp_ms
    )

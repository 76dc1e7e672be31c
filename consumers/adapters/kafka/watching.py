"""Notices partitions without progress: aiokafka does not say why it gets nothing."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.no_answer import NO_ANSWER

CHECK_S: Final = 0.25
STUCK_S: Final = 3
"""A partition is stuck after so long at one position, if there are messages or no fetch was answered."""
NEWS_MAX: Final = 3
"""A partition is stuck sooner if so many checks found answers for other partitions and none for this one. The broker
may refuse it, and the client asks again without a pause, thousands of times a second."""
POSITION_S: Final = 0.1
"""The client returns a known position at once. During a rebalance there is none."""
TAKES_MIN: Final = 3
"""A partition is stuck only after so many takes that emptied the client's buffers; else it may just wait its turn."""


@dataclass(slots=True)
class _Seen:
    """A partition when it last moved.

    position: the client's. polled: when its last fetch was answered. since: our time. takes: how many had emptied the
    buffers. news: checks since then that found answers for other partitions only.
    """

    position: int
    polled: int
    since: float
    takes: int
    news: int = 0


class Watch:
    """Finds stuck partitions from what the client knows; it sends nothing to a broker."""

    def __init__(self) -> None:
        self._seen: dict[TopicPartition, _Seen] = {}
        self._takes = 0
        self._check_at = 0.0
        self._newest = 0

    def is_due(self, now: float) -> bool:
        """Whether it is time for a check."""
        return now >= self._check_at

    def note_emptied(self) -> None:
        """Note that a take emptied the client's buffers."""
        self._takes += 1

    def forget(self) -> None:
        """Forget all partitions, after an assignment."""
        self._seen.clear()

    async def find_stuck(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], now: float
    ) -> list[TopicPartition]:
        """Return the stuck ones of these partitions."""
        self._check_at = now + CHECK_S
        ours = consumer.assignment()
        polled = {p: consumer.last_poll_timestamp(p) or 0 for p in partitions if p in ours}
        newest = max(polled.values(), default=0)
        is_news = newest != self._newest
        self._newest = newest
        found: list[TopicPartition] = []
        for partition, at in polled.items():
            position = await position_of(consumer, partition)
            if position is None:
                continue
            seen = self._seen.get(partition)
            if seen is None or seen.position != position or self._is_at_end(consumer, partition, seen, at):
                self._seen[partition] = _Seen(position, at, now, self._takes)
                continue
            if self._takes - seen.takes < TAKES_MIN:
                continue
            seen.news += is_news and at != newest
            if seen.news >= NEWS_MAX or now - seen.since >= STUCK_S:
                del self._seen[partition]
                found.append(partition)
        return found

    @staticmethod
    def _is_at_end(consumer: AIOKafkaConsumer, partition: TopicPartition, seen: _Seen, polled: int) -> bool:
        """Whether a fetch was answered since, and nothing can be read at this position."""
        return seen.polled != polled and seen.position >= (consumer.last_stable_offset(partition) or 0)


async def position_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Return the client's position in a partition; None while it does not know."""
    try:
        async with asyncio.timeout(POSITION_S):
            position: int = await consumer.position(partition)
    except NO_ANSWER:
        return None
    return position

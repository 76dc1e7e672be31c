"""Progress, watched for each partition: aiokafka says nothing when it gets nothing, whatever the reason is."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

LOOK_S: Final = 0.25
STUCK_S: Final = 3
"""A partition that stands still for so long, though messages lie before it or no fetch was answered, is looked at."""
NEWS_MAX: Final = 3
"""Looks that found news of other partitions and none of this one: then it is looked at sooner. The broker may refuse
it, and the client asks again without a pause, thousands of times a second."""
POSITION_S: Final = 0.1
"""A position that is known is told at once; during a rebalance there is none."""
TAKES_MIN: Final = 3
"""Takes in that time that left nothing in the client's buffers: else it is only not its turn yet."""


@dataclass(slots=True)
class _Sight:
    """How a partition stood when it last moved, and since when. news: of others, since it must have been asked for."""

    position: int
    polled: int
    since: float
    takes: int
    news: int = 0


class Watch:
    """Notices partitions that stand still. It asks nothing of a broker."""

    def __init__(self) -> None:
        self._sights: dict[TopicPartition, _Sight] = {}
        self._takes = 0
        self._look_at = 0.0
        self._newest = 0

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return now >= self._look_at

    def emptied(self) -> None:
        """Note a take that left nothing in the client's buffers."""
        self._takes += 1

    def forget(self) -> None:
        """Begin anew: after an assignment, and after a restart."""
        self._sights.clear()

    async def stuck(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], now: float
    ) -> list[TopicPartition]:
        """Return those of these partitions that stand still though they should not, as far as can be told from here."""
        self._look_at = now + LOOK_S
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
            sight = self._sights.get(partition)
            if sight is None or sight.position != position or self._rests(consumer, partition, sight, at):
                self._sights[partition] = _Sight(position, at, now, self._takes)
                continue
            if self._takes - sight.takes < TAKES_MIN:
                continue
            sight.news += is_news and at != newest
            if sight.news >= NEWS_MAX or now - sight.since >= STUCK_S:
                del self._sights[partition]
                found.append(partition)
        return found

    @staticmethod
    def _rests(consumer: AIOKafkaConsumer, partition: TopicPartition, sight: _Sight, polled: int) -> bool:
        """Whether a fetch was answered since, and there was nothing before this position."""
        return sight.polled != polled and sight.position >= (consumer.last_stable_offset(partition) or 0)


async def position_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Return where the client stands in a partition; None while it does not know."""
    try:
        async with asyncio.timeout(POSITION_S):
            position: int = await consumer.position(partition)
    except (KafkaError, TimeoutError):
        return None
    return position

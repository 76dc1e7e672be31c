"""Progress, watched for each partition: aiokafka says nothing when it gets nothing, whatever the reason is."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

LOOK_S: Final = 1
STUCK_S: Final = 3
"""A partition that stands still for so long, though messages lie before it or no fetch was answered, is looked at."""
POSITION_S: Final = 0.1
"""A position that is known is told at once; during a rebalance there is none."""
TAKES_MIN: Final = 3
"""Takes in that time that left nothing in the client's buffers: else it is only not its turn yet."""


@dataclass(slots=True)
class _Sight:
    """How a partition stood when it last moved, and since when it stands so."""

    position: int
    polled: int | None
    since: float
    takes: int


class Watch:
    """Notices partitions that stand still. It asks nothing of a broker."""

    def __init__(self) -> None:
        self._sights: dict[TopicPartition, _Sight] = {}
        self._takes = 0
        self._look_at = 0.0

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
        self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], now: float
    ) -> list[TopicPartition]:
        """Return those of these partitions that stand still though they should not, as far as can be told from here."""
        self._look_at = now + LOOK_S
        found: list[TopicPartition] = []
        for partition in partitions:
            try:
                async with asyncio.timeout(POSITION_S):
                    position = await consumer.position(partition)
            except (KafkaError, TimeoutError):
                continue
            polled = consumer.last_poll_timestamp(partition)
            sight = self._sights.get(partition)
            if sight is None or sight.position != position:
                self._sights[partition] = _Sight(position, polled, now, self._takes)
                continue
            if sight.polled != polled and position >= (consumer.last_stable_offset(partition) or 0):
                self._sights[partition] = _Sight(position, polled, now, self._takes)
            elif now - sight.since >= STUCK_S and self._takes - sight.takes >= TAKES_MIN:
                del self._sights[partition]
                found.append(partition)
        return found

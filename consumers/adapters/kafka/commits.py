"""Which offsets are owed to the group, and their commit."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import Transient

COMMIT_S: Final = 10
"""The library tries to commit for as long as the broker is away. Offsets that are not committed do no harm, while a
consumer that waits for them takes no turn, looks stalled, and cannot be stopped."""


class Commits:
    """Keeps what Kafka did not take for the next time, until the partitions are assigned anew."""

    def __init__(self) -> None:
        self._owed: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._forgotten = 0

    def forget(self, partitions: Collection[TopicPartition] | None = None) -> None:
        """Begin anew, with these partitions or with all."""
        self._forgotten += 1
        for offsets in (self._owed, self._done):
            for partition in list(offsets) if partitions is None else partitions:
                offsets.pop(partition, None)

    def know(self, committed: Mapping[TopicPartition, int]) -> None:
        """Take down what the group has committed."""
        for partition, offset in committed.items():
            self._done[partition] = max(offset, self._done.get(partition, 0))

    def owe(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take down offsets behind what has been processed."""
        for partition, end in ends.items():
            if end > max(self._owed.get(partition, 0), self._done.get(partition, 0)):
                self._owed[partition] = end

    async def send(self, consumer: AIOKafkaConsumer, topic_id: str) -> None:
        """Commit what is owed for the partitions that are ours still. Raises Transient when Kafka does not take it.

        Beside each offset stands the topic's id: a topic that is made anew has other messages at the same offsets.
        """
        ours = consumer.assignment()
        owed = {partition: end for partition, end in self._owed.items() if partition in ours}
        self._owed.clear()
        forgotten = self._forgotten
        if not owed:
            return
        try:
            async with asyncio.timeout(COMMIT_S):
                await consumer.commit({partition: (end, topic_id) for partition, end in owed.items()})
        except TimeoutError as error:
            self._keep(owed, forgotten)
            raise Transient(f"Kafka has not taken the offsets within {COMMIT_S} s") from error
        except KafkaError as error:
            self._keep(owed, forgotten)
            raise Transient(f"Kafka does not take the offsets: {error!r}") from error
        if self._forgotten == forgotten:
            self._done |= owed

    def _keep(self, owed: Mapping[TopicPartition, int], forgotten: int) -> None:
        """Owe again what was not taken, unless all began anew meanwhile."""
        if self._forgotten == forgotten:
            self.owe(owed)

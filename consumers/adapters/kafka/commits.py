"""Offsets that are still to be committed, and their commit."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.no_answer import NO_ANSWER
from domain.errors import Transient

COMMIT_S: Final = 10
"""The library tries to commit as long as the broker is away. A consumer that waits for it reads nothing, looks stalled,
and cannot be stopped. Offsets that are committed later do no harm."""


class Commits:
    """Keeps offsets that Kafka did not take for the next commit, until the partitions are assigned anew."""

    def __init__(self) -> None:
        self._pending: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._floors: dict[TopicPartition, int] = {}
        self._forgotten = 0
        self._anew: Counter[TopicPartition | None] = Counter()

    def forget(self, partitions: Collection[TopicPartition] | None = None) -> None:
        """Forget these partitions, or all."""
        self._forgotten += 1
        self._anew.update([None] if partitions is None else partitions)
        for offsets in (self._pending, self._committed, self._floors):
            for partition in list(offsets) if partitions is None else partitions:
                offsets.pop(partition, None)

    def note_committed(self, committed: Mapping[TopicPartition, int]) -> None:
        """Note what the group has committed."""
        for partition, offset in committed.items():
            self._committed[partition] = max(offset, self._committed.get(partition, 0))

    def add(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note the offsets behind the processed messages, for the next commit."""
        for partition, end in ends.items():
            if end > max(self._pending.get(partition, 0), self._committed.get(partition, 0)):
                self._pending[partition] = end

    def begun(self, partition: TopicPartition) -> int:
        """Count how often this partition, or all, began anew."""
        return self._anew[None] + self._anew[partition]

    def keep_back(self, first: Mapping[TopicPartition, int]) -> None:
        """Commit nothing behind these offsets, until the next word. What is pending behind them stays pending."""
        self._floors = dict(first)

    async def send(self, consumer: AIOKafkaConsumer, topic_id: str) -> None:
        """Commit what is pending for the partitions that are still ours. Raises Transient when Kafka does not take it.

        The topic's id goes with each offset: a topic that is made anew has other messages at the same offsets.
        """
        ours = consumer.assignment()
        pending = {partition: end for partition, end in self._pending.items() if partition in ours}
        self._pending.clear()
        if self._floors:
            pending = self._clip(pending)
        forgotten = self._forgotten
        if not pending:
            return
        try:
            async with asyncio.timeout(COMMIT_S):
                await consumer.commit({partition: (end, topic_id) for partition, end in pending.items()})
        except NO_ANSWER as error:
            if self._forgotten == forgotten:
                self.add(pending)
            why = f"no answer in {COMMIT_S} s" if isinstance(error, TimeoutError) else repr(error)
            raise Transient(f"Kafka does not take the offsets: {why}") from error
        if self._forgotten == forgotten:
            self._committed |= pending

    def _clip(self, pending: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return what may be committed of this now; the rest is pending still."""
        self._pending |= {p: end for p, end in pending.items() if end > self._floors.get(p, end)}
        now = {p: min(end, self._floors.get(p, end)) for p, end in pending.items()}
        return {p: end for p, end in now.items() if end > self._committed.get(p, 0)}

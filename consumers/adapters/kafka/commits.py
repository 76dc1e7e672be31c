"""Offsets that are still to be committed, and their commit."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.no_answer import NO_ANSWER
from domain.errors import Transient

COMMIT_S: Final = 10
"""The library tries to commit as long as the broker is away. Who waits for it reads nothing, looks stalled, and cannot
be stopped. Offsets that are committed later do no harm."""


class Commits:
    """Keeps offsets that Kafka did not take for the next commit, until the partitions are assigned anew."""

    def __init__(self) -> None:
        self._pending: dict[TopicPartition, int] = {}
        self._sending: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._floors: dict[TopicPartition, int] = {}
        self._topic_id = ""
        self._anew: Counter[TopicPartition | None] = Counter()
        self._under_way = asyncio.Lock()

    @property
    def are_pending(self) -> bool:
        """Whether a commit has something to send. What is under way is not pending."""
        return bool(self._pending)

    def forget(self, partitions: Collection[TopicPartition] | None = None) -> None:
        """Forget these partitions, or all. The answer of a commit that is under way counts nothing for them."""
        self._anew.update([None] if partitions is None else partitions)
        for offsets in (self._pending, self._sending, self._committed, self._floors):
            for partition in list(offsets) if partitions is None else partitions:
                offsets.pop(partition, None)

    def note_committed(self, committed: Mapping[TopicPartition, int]) -> None:
        """Note what the group has committed."""
        for partition, offset in committed.items():
            self._committed[partition] = max(offset, self._committed.get(partition, 0))

    def add(self, ends: Mapping[TopicPartition, int], topic_id: str) -> None:
        """Note the offsets behind the processed messages, for the next commit.

        The topic's id goes with each offset: a topic that is made anew has other messages at the same offsets. It is
        noted here, for a commit may be sent when the new id is known already, and its offsets are not forgotten yet.
        """
        if topic_id != self._topic_id:
            self._topic_id = topic_id
            self._pending.clear()
            self._sending.clear()
        for partition, end in ends.items():
            known = (offsets.get(partition, 0) for offsets in (self._pending, self._sending, self._committed))
            if end > max(known):
                self._pending[partition] = end

    def begun(self, partition: TopicPartition) -> int:
        """Count how often this partition, or all, began anew."""
        return self._anew[None] + self._anew[partition]

    def keep_back(self, first: Mapping[TopicPartition, int]) -> None:
        """Commit nothing behind these offsets, until the next word. What is pending behind them stays pending."""
        self._floors = dict(first)

    async def send(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what is pending for the partitions that are still ours. Raises Transient when Kafka does not take it.

        One commit at a time: an older offset must not follow a newer one. The one before is waited for, and both
        together take COMMIT_S at most.
        """
        end_at = asyncio.get_running_loop().time() + COMMIT_S
        try:
            async with asyncio.timeout_at(end_at):
                await self._under_way.acquire()
        except TimeoutError as error:
            raise Transient("Kafka does not take the offsets: no answer to the commit before") from error
        try:
            await self._send(consumer, end_at)
        finally:
            self._under_way.release()

    async def _send(self, consumer: AIOKafkaConsumer, end_at: float) -> None:
        ours = consumer.assignment()
        pending = {partition: end for partition, end in self._pending.items() if partition in ours}
        self._pending.clear()
        if self._floors:
            pending = self._clip(pending)
        if not pending:
            return
        self._sending = dict(pending)
        try:
            async with asyncio.timeout_at(end_at):
                await consumer.commit({partition: (end, self._topic_id) for partition, end in pending.items()})
            # What was forgotten meanwhile is missing there.
            self._committed |= self._sending
        except NO_ANSWER as error:
            why = f"no answer in {COMMIT_S} s" if isinstance(error, TimeoutError) else repr(error)
            raise Transient(f"Kafka does not take the offsets: {why}") from error
        finally:
            # Whatever was raised: what is not committed is pending again.
            sent, self._sending = self._sending, {}
            self.add(sent, self._topic_id)

    def _clip(self, pending: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return what may be committed of this now; the rest is pending still."""
        self._pending |= {p: end for p, end in pending.items() if end > self._floors.get(p, end)}
        now = {p: min(end, self._floors.get(p, end)) for p, end in pending.items()}
        return {p: end for p, end in now.items() if end > self._committed.get(p, 0)}

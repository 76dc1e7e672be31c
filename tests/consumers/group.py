"""A group that takes commits, refuses them, or does not answer."""

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition

P, Q = TopicPartition("topic", 0), TopicPartition("topic", 1)


class Group:
    """The part of AIOKafkaConsumer that commits.

    answers: cleared, commits wait. asked: a commit has come. error: what the next commits raise. committed, notes: what
    was committed, and the notes beside it, one a commit. at_s: when, by the loop's clock.
    """

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Event()
        self.error: Exception | None = None
        self.committed: list[dict[TopicPartition, int]] = []
        self.notes: list[set[str]] = []
        self.at_s: list[float] = []
        self.refused = 0
        self.under_way = 0
        self.most_under_way = 0

    def assignment(self) -> set[TopicPartition]:
        """Have both partitions."""
        return {P, Q}

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Take these offsets."""
        self.asked.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.answers.wait()
            if self.error is not None:
                self.refused += 1
                raise self.error
        finally:
            self.under_way -= 1
        self.committed.append({partition: end for partition, (end, _) in offsets.items()})
        self.notes.append({note for _, note in offsets.values()})
        self.at_s.append(asyncio.get_running_loop().time())

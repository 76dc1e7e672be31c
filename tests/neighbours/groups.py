"""A consumer group of a kit, as the broker sees it."""

from dataclasses import dataclass
from typing import Final

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.eventually import eventually
from tests.neighbours.world import LOOK_S, OUTCOMES, PARTITIONS, World

ASK_S: Final = 20
_NONE: Final = -1001
"""Librdkafka's word for: nothing is committed."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group that reads the outcomes. admin must outlive every question."""

    name: str
    world: World
    admin: AdminClient

    @property
    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.world.prefix + topic, number) for topic in OUTCOMES for number in range(PARTITIONS)]

    def committed(self) -> int:
        """Count the messages that the group has committed."""
        asked = ConsumerGroupTopicPartitions(self.name, self._partitions)
        (answer,) = self.admin.list_consumer_group_offsets([asked], request_timeout=ASK_S).values()
        try:
            found = answer.result(ASK_S)
        except KafkaException:
            return 0
        return sum(partition.offset for partition in found.topic_partitions if partition.offset != _NONE)

    def sharers(self) -> int:
        """Count the members that have partitions, once the group is stable; 0 before."""
        (answer,) = self.admin.describe_consumer_groups([self.name], request_timeout=ASK_S).values()
        try:
            found = answer.result(ASK_S)
        except KafkaException:
            return 0
        members = [member for member in found.members if member.assignment and member.assignment.topic_partitions]
        return len(members) if found.state == ConsumerGroupState.STABLE else 0

    def rewind(self) -> None:
        """Set the group to the beginning of its topics, as soon as it has no members."""
        zero = [TopicPartition(p.topic, p.partition, 0) for p in self._partitions]

        def rewound() -> bool:
            wanted = ConsumerGroupTopicPartitions(self.name, zero)
            (answer,) = self.admin.alter_consumer_group_offsets([wanted], request_timeout=ASK_S).values()
            try:
                return not any(partition.error for partition in answer.result(ASK_S).topic_partitions)
            except KafkaException:
                return False

        eventually(rewound, f"the group {self.name} has no members", poll_s=LOOK_S)

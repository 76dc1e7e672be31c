"""Consumer groups as the broker sees them: who has which partitions, and how much is still to be read."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # documented, not in __all__

ANSWER_S = 10.0
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group. members: the partitions that each member has."""

    id: str
    stable: bool
    members: tuple[frozenset[Partition], ...]

    @property
    def partitions(self) -> frozenset[Partition]:
        """All that somebody has."""
        return frozenset[Partition]().union(*self.members)


def unsettled(groups: Iterable[Group], wanted: Collection[str], members: int, partitions: int) -> list[str]:
    """Say which groups do not share out all their work yet.

    wanted: ids that must be there; without any, one group at least must be. members: how many of a group must have
    joined; each has a partition, as far as a topic's partitions go round.
    """
    found = {group.id: group for group in groups}
    missing = [f"{name}: not there" for name in wanted if name not in found]
    if not found:
        missing.append("no group")
    return missing + [
        f"{group.id}: {why}" for group in found.values() if (why := _unsettled(group, members, partitions))
    ]


def _unsettled(group: Group, members: int, partitions: int) -> str:
    if not group.stable:
        return "rebalancing"
    if len(group.members) < members:
        return f"{len(group.members)} of {members} members"
    if sum(bool(mine) for mine in group.members) < min(members, partitions):
        return "a member without a partition"
    topics = {topic for topic, _ in group.partitions}
    if not topics or len(group.partitions) < len(topics) * partitions:
        return "partitions that nobody has"
    return ""


def unread(
    groups: Iterable[Group], ends: Mapping[Partition, int], committed: Mapping[str, Mapping[Partition, int]]
) -> int:
    """Count the messages that a group has not said to be done. ends: the offset after the last message of each."""
    # A partition of which nothing was committed has a negative offset, or none.
    return sum(
        ends.get(partition, 0) - max(0, committed.get(group.id, {}).get(partition, 0))
        for group in groups
        for partition in group.partitions
    )


class Groups:
    """The groups whose names begin with a prefix."""

    def __init__(self, admin: AdminClient, prefix: str) -> None:
        self._admin = admin
        self._prefix = prefix

    def read(self) -> list[Group]:
        """Describe them all."""
        listed = self._admin.list_consumer_groups(request_timeout=ANSWER_S).result()
        names = sorted(one.group_id for one in listed.valid if one.group_id.startswith(self._prefix))
        described = self._admin.describe_consumer_groups(names, request_timeout=ANSWER_S) if names else {}
        return [_group(one.result()) for one in described.values()]

    def unread(self) -> int:
        """Count the messages that are published and that some group has not committed."""
        groups = self.read()
        committed = {group.id: self._committed(group.id) for group in groups}
        return unread(
            groups, end_offsets(self._admin, {one for group in groups for one in group.partitions}), committed
        )

    def _committed(self, name: str) -> dict[Partition, int]:
        (asked,) = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], request_timeout=ANSWER_S
        ).values()
        return {(one.topic, one.partition): one.offset for one in asked.result().topic_partitions}


def _group(described: Any) -> Group:
    members = tuple(
        frozenset((one.topic, one.partition) for one in member.assignment.topic_partitions)
        for member in described.members
    )
    return Group(described.group_id, described.state is ConsumerGroupState.STABLE, members)


def end_offsets(admin: AdminClient, partitions: Collection[Partition]) -> dict[Partition, int]:
    """Return the offset after the last message of each."""
    if not partitions:
        return {}
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, partition): latest for topic, partition in partitions}
    answers = admin.list_offsets(asked, request_timeout=ANSWER_S)
    return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}

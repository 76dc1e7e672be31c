"""Offsets behind what waits are owed, and not committed before it is done."""

from collections.abc import Mapping

from aiokafka import TopicPartition

from consumers.adapters.kafka.commits import Commits

P, Q = TopicPartition("topic", 0), TopicPartition("topic", 1)


class Group:
    """The part of the client that commits."""

    def __init__(self) -> None:
        self.committed: list[dict[TopicPartition, int]] = []

    def assignment(self) -> set[TopicPartition]:
        return {P, Q}

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.committed.append({partition: end for partition, (end, _) in offsets.items()})


async def test_nothing_behind_what_waits_is_committed_until_it_is_done() -> None:
    commits, group = Commits(), Group()
    commits.keep_back({P: 5})

    commits.add({P: 9, Q: 7})
    await commits.send(group, "id")
    commits.add({P: 12})
    await commits.send(group, "id")
    commits.keep_back({})
    await commits.send(group, "id")

    assert group.committed == [{P: 5, Q: 7}, {P: 12}]


async def test_where_reading_begins_anew_nothing_is_kept_back_or_owed() -> None:
    commits, group = Commits(), Group()
    commits.keep_back({P: 5, Q: 5})
    commits.add({P: 9, Q: 9})
    before = commits.begun(P), commits.begun(Q)
    commits.forget([P])
    commits.add({P: 3})
    await commits.send(group, "id")
    assert group.committed == [{P: 3, Q: 5}]
    assert (commits.begun(P) - before[0], commits.begun(Q) - before[1]) == (1, 0)
    commits.forget()
    assert (commits.begun(P) - before[0], commits.begun(Q) - before[1]) == (2, 1)

"""What a Kafka source does when its client fails between two calls, which no real broker does on demand."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from consumers.adapters.kafka import commits, committer, membership
from consumers.adapters.kafka.lanes import Lane
from consumers.adapters.kafka.reading import LINGER_FROM
from consumers.adapters.kafka.source import KafkaSource
from domain.errors import Transient
from domain.ports.source import Message, Stretch
from tests.eventually import EVENTUALLY_S

PARTITION = TopicPartition("Topic", 0)
NOBODY = {"bootstrap_servers": "127.0.0.1:1"}


class Unshared:
    """An AIOKafkaConsumer whose group never shares out its partitions: the coordinator's broker cannot be reached."""

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.Event().wait()
        raise AssertionError

    def assignment(self) -> set[TopicPartition]:
        return set()


class Client:
    """An AIOKafkaConsumer that gives these batches, then fails; commits hang while the broker is away."""

    def __init__(self, *batches: int) -> None:
        self._batches = list(batches)
        self._offset = 0
        self.there = asyncio.Event()
        self.there.set()
        self.asked = asyncio.Event()
        self.committed: list[Mapping[TopicPartition, tuple[int, str]]] = []

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        if not self._batches:
            raise KafkaConnectionError
        offsets = range(self._offset, self._offset + self._batches.pop(0))
        self._offset = offsets.stop
        if not offsets:
            return {}
        return {PARTITION: [_record(offset) for offset in offsets]}

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.asked.set()
        await self.there.wait()
        self.committed.append(dict(offsets))

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def pause(self, partition: TopicPartition) -> None:
        """Be asked for nothing meanwhile."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._offset = offset

    async def position(self, partition: TopicPartition) -> int:
        return self._offset

    def last_poll_timestamp(self, partition: TopicPartition) -> int:
        return 0

    def last_stable_offset(self, partition: TopicPartition) -> int:
        return self._offset

    def highwater(self, partition: TopicPartition) -> int:
        return self._offset


def _record(offset: int) -> Any:
    return SimpleNamespace(
        topic="Topic", partition=0, offset=offset, key=b"k", value=b"v", headers=(), timestamp=offset
    )


def source_of(client: Client | Unshared | None) -> KafkaSource:
    source = KafkaSource("Topic", "group", NOBODY, linger_s=0.001, drain_timeout_s=1)
    source._membership.consumer = client
    # It is known where the group stands, as once an assignment has been settled.
    source._lanes.of[PARTITION] = Lane(PARTITION, 0)
    return source


async def until_at_rest(source: KafkaSource) -> None:
    """Wait until no commit is to come by itself."""
    assert source._committer._task is not None
    await asyncio.wait([source._committer._task], timeout=EVENTUALLY_S)


async def test_messages_taken_before_the_client_fails_are_handed_out() -> None:
    source = source_of(Client(LINGER_FROM))
    assert [m.offset for m in await source.take(100, 0.1)] == list(range(LINGER_FROM))
    with pytest.raises(Transient):
        await source.take(100, 0.1)


async def test_a_commit_that_kafka_did_not_answer_is_made_up_for_when_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commits, "COMMIT_S", 0.05)
    client = Client(2, 0, 0)
    source = source_of(client)
    taken: list[Message] = list(await source.take(10, 0.1))
    client.there.clear()
    source.commit_soon(taken)
    await until_at_rest(source)
    assert client.committed == []
    client.there.set()
    assert await source.take(10, 0.1) == []
    assert await source.take(10, 0.1) == []
    assert client.committed == [{PARTITION: (2, "")}]


async def test_the_next_take_does_not_wait_for_the_commit_of_the_batch_before() -> None:
    client = Client(2, 3)
    source = source_of(client)
    client.there.clear()
    source.commit_soon(await source.take(10, 0.1))
    await asyncio.wait_for(client.asked.wait(), EVENTUALLY_S)
    assert [m.offset for m in await source.take(10, 0.1)] == [2, 3, 4], "and the commit has no answer yet"
    assert client.committed == []
    await source._committer.close()


async def test_a_message_that_is_held_is_not_committed_nor_one_behind_it() -> None:
    client = Client(5)
    source = source_of(client)
    taken = await source.take(10, 0.1)
    source.hold(taken[3], 60)
    source.commit_soon(taken)
    assert not source._commits.are_pending, "offset 3 comes again"
    source.commit_soon(taken[:3])
    await until_at_rest(source)
    assert client.committed == [{PARTITION: (3, "")}]


async def test_an_offset_goes_with_the_id_of_the_topic_that_it_was_read_of() -> None:
    client = Client(2)
    source = source_of(client)
    source._lanes.topic_id = "deleted"
    source.commit_soon(await source.take(10, 0.1))
    # As while the new topic's first offsets are asked for.
    source._lanes.topic_id = "anew"
    await until_at_rest(source)
    assert client.committed == [{PARTITION: (2, "deleted")}]


async def test_partitions_are_given_up_after_the_batch_in_hand_and_the_commit_of_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(committer, "COMMIT_EVERY_S", 3_600)
    client = Client(2)
    source = source_of(client)
    taken = await source.take(10, 0.1)
    async with source.processing():
        giving_up = asyncio.create_task(source._membership.on_partitions_revoked([PARTITION]))
        await asyncio.sleep(0)
        assert not giving_up.done()
        source.commit_soon(taken)
    await giving_up
    assert client.committed == [{PARTITION: (2, "")}]
    await source._committer.close()


async def test_partitions_are_given_up_in_time_though_kafka_takes_no_commit() -> None:
    client = Client(2)
    source = source_of(client)
    source.commit_soon(await source.take(10, 0.1))
    client.there.clear()
    began = asyncio.get_running_loop().time()
    await source._membership.on_partitions_revoked([PARTITION])
    assert 1 <= asyncio.get_running_loop().time() - began < commits.COMMIT_S
    client.there.set()
    await source._committer.close()


async def test_an_operators_word_waits_for_its_commit_and_says_when_kafka_does_not_take_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commits, "COMMIT_S", 0.05)
    client = Client()
    source = source_of(client)
    stretch = Stretch("Topic", 0, 0, 4, "a checksum is wrong", gone=False, topic_id="")
    client.there.clear()
    for answers in (False, True):
        source._lanes.of[PARTITION] = Lane(PARTITION, 0, stretch=stretch)
        if answers:
            client.there.set()
            await source.pass_over(stretch, 4)
        else:
            with pytest.raises(Transient):
                await source.pass_over(stretch, 4)
    assert client.committed == [{PARTITION: (5, "")}]


async def test_a_source_that_lost_its_client_joins_again() -> None:
    source = source_of(None)
    with pytest.raises(Transient, match="Kafka does not answer"):
        await source.take(10, 0.1)


async def until_it_raises(source: KafkaSource) -> None:
    async with asyncio.timeout(10):
        while True:
            assert await source.take(10, 0.01) == ()


async def test_a_group_that_is_never_shared_out_is_an_outage_after_a_while_and_stays_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "UNASSIGNED_S", 0.5)
    source = source_of(Unshared())
    source._lanes.of.clear()
    assert await source.take(10, 0.01) == ()
    with pytest.raises(Transient, match="has not shared out"):
        await until_it_raises(source)
    with pytest.raises(Transient, match="has not shared out"):
        await source.take(10, 0.01)


async def test_joining_again_takes_no_more_of_a_turn_than_it_is_given_and_stays_an_outage_until_it_succeeds() -> None:
    source = source_of(None)
    with pytest.raises(Transient, match="Kafka does not answer"):
        await until_it_raises(source)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Transient, match="Kafka does not answer"):
        await source.take(10, 0.0)
    assert asyncio.get_running_loop().time() - began < 0.5
    await source.close()

"""Commits beside the reading: few, soon, one at a time, and none that is lost or left over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import CommitFailedError
from structlog.testing import capture_logs

from consumers.adapters.kafka import committer as module
from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.committer import COMMIT_EVERY_S, Committer
from consumers.adapters.kafka.source import KafkaSource
from consumers.adapters.kafka.wire import Wire
from domain.ports.source import Message
from tests.consumers.group import Group, P
from tests.eventually import EVENTUALLY_S
from tests.producers.reading import make_topic

NEVER_S = 3_600.0
CLOCK_S = 0.02
"""How much earlier a timer of the loop may be than its time."""


class World:
    """A member that has processed messages."""

    def __init__(self) -> None:
        self.group = Group()
        self.commits = Commits()
        self.committer = Committer(self.commits, lambda: self.group, structlog.get_logger())

    def process(self, end: int) -> None:
        """Have processed all before this offset."""
        self.commits.add({P: end}, "id")
        self.committer.commit_soon()

    async def until_at_rest(self) -> None:
        """Wait until no commit is to come by itself."""
        assert self.committer._task is not None
        async with asyncio.timeout(EVENTUALLY_S):
            await asyncio.wait([self.committer._task])


def others() -> set["asyncio.Task[object]"]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_batches_of_one_moment_are_one_commit_that_comes_by_itself() -> None:
    world = World()
    for end in range(1, 51):
        world.process(end)
        await asyncio.sleep(0)
    await world.until_at_rest()
    assert world.group.committed == [{P: 50}]
    assert others() == set()


async def test_under_steady_load_commits_come_at_most_every_tenth_of_a_second_and_the_last_one_is_not_left_out() -> (
    None
):
    world = World()
    end = 0
    while len(world.group.committed) < 4:
        end += 1
        world.process(end)
        await asyncio.sleep(0.002)
    await world.until_at_rest()
    assert world.group.committed[-1] == {P: end}
    times = world.group.at_s
    assert min(b - a for a, b in pairwise(times)) > COMMIT_EVERY_S - CLOCK_S


async def test_who_has_processed_waits_for_no_answer_and_what_is_processed_meanwhile_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    world = World()
    world.group.answers.clear()
    world.process(1)
    await asyncio.wait_for(world.group.asked.wait(), EVENTUALLY_S)
    for end in (2, 3):
        world.process(end)
    assert world.group.committed == []
    world.group.answers.set()
    await world.until_at_rest()
    assert world.group.committed == [{P: 1}, {P: 3}]
    assert world.group.most_under_way == 1


async def test_commits_that_are_refused_are_logged_once_in_a_while_and_made_up_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    world = World()
    world.group.error = CommitFailedError()
    with capture_logs() as log:
        for end in range(1, 6):
            world.process(end)
            await world.until_at_rest()
            assert world.group.refused == end, "a commit that failed is not repeated by itself"
        world.group.error = None
        world.process(6)
        await world.until_at_rest()
    assert [entry["log_level"] for entry in log] == ["warning"]
    assert world.group.committed == [{P: 6}]


async def test_what_is_refused_before_partitions_are_given_up_is_not_sent_again_while_the_group_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    world = World()
    world.group.error = CommitFailedError()
    world.process(1)
    await asyncio.sleep(0)
    await world.committer.flush()
    await world.until_at_rest()
    assert world.group.refused == 1


async def test_the_log_is_told_again_when_commits_still_fail_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    monkeypatch.setattr(module, "WARN_EVERY_S", 0.0)
    world = World()
    world.group.error = CommitFailedError()
    with capture_logs() as log:
        for end in (1, 2):
            world.process(end)
            await world.until_at_rest()
    assert len(log) == 2


async def test_a_last_commit_is_made_at_the_close_and_no_task_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", NEVER_S)
    world = World()
    world.process(7)
    await world.committer.close()
    assert world.group.committed == [{P: 7}]
    assert others() == set()


async def test_a_close_waits_a_bounded_time_for_kafka_and_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    monkeypatch.setattr(module, "LAST_COMMIT_S", 0.05)
    world = World()
    world.group.answers.clear()
    world.process(7)
    await asyncio.wait_for(world.group.asked.wait(), EVENTUALLY_S)
    with capture_logs() as log:
        await asyncio.wait_for(world.committer.close(), EVENTUALLY_S)
    assert [entry["error"] for entry in log] == ["no answer in 0.05 s"]
    assert others() == set()


async def test_a_close_that_is_cancelled_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    world = World()
    world.group.answers.clear()
    world.process(7)
    await asyncio.wait_for(world.group.asked.wait(), EVENTUALLY_S)
    closing = asyncio.create_task(world.committer.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert others() == set()


async def test_a_bug_in_a_commit_reaches_whoever_has_processed_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", 0.001)
    world = World()
    world.group.error = ZeroDivisionError()
    world.process(1)
    await world.until_at_rest()
    with pytest.raises(ZeroDivisionError):
        world.process(2)


# with a real broker


def source_of(servers: str, topic: str) -> KafkaSource:
    return KafkaSource(topic, f"{topic}.group", {"bootstrap_servers": servers}, linger_s=0.001, drain_timeout_s=5)


@asynccontextmanager
async def read_once(servers: str, topic: str, count: int) -> AsyncIterator[KafkaSource]:
    """Publish so many messages and process them. Nothing is read after that."""
    await make_topic(servers, topic, partitions=2)
    source = source_of(servers, topic)
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for number in range(count):
            await producer.send_and_wait(topic, b"%d" % number, partition=number % 2)
    await source.start()
    try:
        await process(source, count)
        yield source
    finally:
        await source.close()


async def process(source: KafkaSource, count: int) -> list[Message]:
    """Process so many messages."""
    taken: list[Message] = []
    async with asyncio.timeout(EVENTUALLY_S):
        while len(taken) < count:
            batch = await source.take(100, 0.2)
            taken += batch
            source.commit_soon(batch)
    return taken


async def committed(servers: str, topic: str) -> int:
    """Return how many messages the group has committed."""
    wire = Wire(topic, f"{topic}.group", {"bootstrap_servers": servers})
    try:
        return sum(one.offset for one in (await wire.committed([0, 1])).values())
    finally:
        await wire.close()


@pytest.mark.integration
async def test_a_group_has_nothing_left_soon_after_the_last_message_though_nobody_reads_on(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    async with read_once(kafka_bootstrap, topic, 10) as source, asyncio.timeout(EVENTUALLY_S):
        assert source._committer._task is not None
        await asyncio.wait([source._committer._task])
        assert await committed(kafka_bootstrap, topic) == 10


@pytest.mark.integration
async def test_a_member_that_joins_reads_nothing_again_that_was_processed(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", NEVER_S)
    topic = f"{topic_prefix}A"
    async with read_once(kafka_bootstrap, topic, 10) as first:
        second = source_of(kafka_bootstrap, topic)
        await second.start()
        reading = asyncio.create_task(process(first, 1))
        try:
            async with asyncio.timeout(EVENTUALLY_S):
                while not second._membership.joined().assignment():
                    await second.take(100, 0.2)
            assert await committed(kafka_bootstrap, topic) == 10
            (place,) = second._membership.joined().assignment()
            async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
                for partition in range(2):
                    await producer.send_and_wait(topic, b"last", partition=partition)
            assert [m.value for m in await process(second, 1)] == [b"last"]
            assert [m.value for m in await reading] == [b"last"]
            assert place.topic == topic
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await second.close()


@pytest.mark.integration
async def test_a_member_that_leaves_has_committed_all_that_it_processed(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY_S", NEVER_S)
    topic = f"{topic_prefix}A"
    async with read_once(kafka_bootstrap, topic, 10):
        assert await committed(kafka_bootstrap, topic) == 0
    assert await committed(kafka_bootstrap, topic) == 10

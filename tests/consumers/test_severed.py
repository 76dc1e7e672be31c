"""A broker is killed while a request is under way: the client raises what no list of its errors names. We read on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consumers.adapters.kafka.closing import has_given_up
from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.positions import _offsets
from consumers.adapters.kafka.source import KafkaSource
from consumers.adapters.kafka.wire import Wire
from domain.errors import Transient
from tests.producers.reading import make_topic
from tests.severed import on_uvloop, severed

pytestmark = pytest.mark.integration

WAIT_S = 60


@asynccontextmanager
async def reading(servers: str, topic: str) -> AsyncIterator[tuple[KafkaSource, AIOKafkaProducer]]:
    """Read a topic of one partition that has a single message, which was taken and committed."""
    await make_topic(servers, topic, partitions=1)
    kafka = {"bootstrap_servers": servers}
    source = KafkaSource(topic, f"{topic}.group", kafka, linger_s=0.001, drain_timeout_s=1)
    async with AIOKafkaProducer(**kafka) as producer:
        await producer.send_and_wait(topic, b"first", partition=0)
        await source.start()
        try:
            await read_on(source, b"first")
            yield source, producer
        finally:
            await source.close()


async def read_on(source: KafkaSource, value: bytes) -> None:
    """Take and commit until this message came. An outage is waited out, as the runtime does; nothing else is."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                taken = await source.take(100, 0.2)
                source.commit_soon(taken)
            except Transient:
                await asyncio.sleep(0.05)
                continue
            if value in {message.value for message in taken}:
                return


def member_of(source: KafkaSource) -> AIOKafkaConsumer:
    return source._membership.joined()


def look_for_brokers(consumer: AIOKafkaConsumer) -> None:
    consumer._client.force_metadata_update()


def lose_the_coordinator(consumer: AIOKafkaConsumer) -> None:
    consumer._coordinator.coordinator_dead()


def wait_for_it(consumer: AIOKafkaConsumer) -> None:
    """Do nothing: the task sends a request by itself within seconds."""


TASKS: dict[str, Callable[[AIOKafkaConsumer], None]] = {
    "AIOKafkaClient._md_synchronizer": look_for_brokers,
    "GroupCoordinator._coordination_routine": lose_the_coordinator,
    "GroupCoordinator._heartbeat_routine": wait_for_it,
    "Fetcher._proc_fetch_request": wait_for_it,
}


@pytest.mark.parametrize("task", TASKS)
def test_a_member_reads_on_after_a_task_of_its_client_has_died_at_a_severed_connection(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    async def work() -> None:
        async with reading(kafka_bootstrap, f"{topic_prefix}A") as (source, producer):
            before = member_of(source)
            with severed(monkeypatch, lambda name: name.endswith(task)) as severing:
                TASKS[task](before)
                await asyncio.wait_for(severing.hit.wait(), WAIT_S)
            await producer.send_and_wait(f"{topic_prefix}A", b"second", partition=0)
            await read_on(source, b"second")
            assert member_of(source) is not before, "a client without this task must be replaced"
            assert not has_given_up(member_of(source))

    on_uvloop(work)


@pytest.mark.parametrize("task", TASKS)
def test_leaving_the_group_raises_nothing_and_leaves_no_connection_though_a_task_has_died(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    async def work() -> None:
        async with reading(kafka_bootstrap, f"{topic_prefix}A") as (source, _):
            client = member_of(source)._client
            with severed(monkeypatch, lambda name: name.endswith(task)) as severing:
                TASKS[task](member_of(source))
                await asyncio.wait_for(severing.hit.wait(), WAIT_S)
            connections = list(client._conns.values())
            await source.close()
            assert [each for each in connections if each.connected()] == []

    on_uvloop(work)


ASKING = ("work", "_do_commit_offsets", "_proc_offset_request")
"""Who sends the requests of a question: the test's own task, or one that the client makes for it."""

Ask = Callable[[AIOKafkaConsumer, Wire, TopicPartition], Coroutine[Any, Any, object]]


async def commit(consumer: AIOKafkaConsumer, wire: Wire, place: TopicPartition) -> None:
    commits = Commits()
    commits.add({place: 1}, "")
    await commits.send(consumer)


async def beginnings(consumer: AIOKafkaConsumer, wire: Wire, place: TopicPartition) -> None:
    await _offsets(consumer.beginning_offsets([place]))


async def fetch(consumer: AIOKafkaConsumer, wire: Wire, place: TopicPartition) -> None:
    await wire.fetch(0, 0, 1_000)


async def topic_id(consumer: AIOKafkaConsumer, wire: Wire, place: TopicPartition) -> None:
    await wire.topic()


async def committed(consumer: AIOKafkaConsumer, wire: Wire, place: TopicPartition) -> None:
    await wire.committed([0])


@pytest.mark.parametrize("ask", [commit, beginnings, fetch, topic_id, committed])
def test_a_question_over_a_severed_connection_is_an_outage_and_asking_again_helps(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    topic = f"{topic_prefix}A"

    async def work() -> None:
        async with reading(kafka_bootstrap, topic) as (source, _):
            wire = Wire(topic, f"{topic}.group", {"bootstrap_servers": kafka_bootstrap})
            place = TopicPartition(topic, 0)
            try:
                await wire.topic()
                with severed(monkeypatch, lambda name: name.endswith(ASKING)) as severing:
                    with pytest.raises(Transient):
                        await ask(member_of(source), wire, place)
                    assert severing.hit.is_set()
                await ask(member_of(source), wire, place)
            finally:
                await wire.close()

    on_uvloop(work)


def test_closing_a_client_of_single_requests_raises_nothing_though_its_task_has_died(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        await make_topic(kafka_bootstrap, f"{topic_prefix}A", partitions=1)
        wire = Wire(f"{topic_prefix}A", "group", {"bootstrap_servers": kafka_bootstrap})
        await wire.fetch(0, 0, 1_000)
        client = wire._client
        assert client is not None
        with severed(monkeypatch, lambda name: name.endswith("_md_synchronizer")) as severing:
            client.force_metadata_update()
            await asyncio.wait_for(severing.hit.wait(), WAIT_S)
            await asyncio.wait([client._sync_task], timeout=WAIT_S)
        connections = list(client._conns.values())
        await wire.close()
        assert [each for each in connections if each.connected()] == []

    on_uvloop(work)

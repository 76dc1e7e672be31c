"""A broker is killed while a request is under way: the client raises what no list of its errors names. We go on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.kafka_topics import KafkaTopics
from deploy.replay.topics import open_topics
from deploy.settings import Settings
from domain.errors import DownForEverybody, Transient
from domain.ports.publisher import OutgoingMessage
from producers.connection import admin_client, discard_producer, has_died, start_producer, stop_producer
from producers.kafka_publisher import KafkaPublisher
from tests.producers.reading import make_topic, read_all
from tests.producers.test_starts import Start, admin, audit, kafka_settings, member, producer, wire
from tests.severed import Severed, on_uvloop, severed

pytestmark = pytest.mark.integration

WAIT_S = 60
SENDER, BROKERS = "Sender._send_produce_req", "AIOKafkaClient._md_synchronizer"


def message(number: int, topic: str) -> OutgoingMessage:
    return OutgoingMessage(number, topic, b"key", b"%d" % number, [])


async def lose_brokers_task(client: Any, severing: Severed) -> None:
    """Have the client look for its brokers over a severed connection, and wait until its task has died of it."""
    client.force_metadata_update()
    await asyncio.wait_for(severing.hit.wait(), WAIT_S)
    await asyncio.wait([client._sync_task], timeout=WAIT_S)
    assert client._sync_task.exception() is not None


def test_a_publisher_whose_sender_dies_at_a_severed_connection_says_so_and_a_new_one_sends(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, kafka = f"{topic_prefix}A", {"bootstrap_servers": kafka_bootstrap}

    async def work() -> None:
        await make_topic(kafka_bootstrap, topic)
        async with KafkaPublisher(kafka) as publisher:
            assert (await publisher.publish([message(1, topic)])).acknowledged == [1]
            with severed(monkeypatch, lambda name: name.endswith(SENDER)) as severing:
                with pytest.raises(DownForEverybody):
                    await publisher.publish([message(2, topic)])
                assert severing.hit.is_set()
        async with KafkaPublisher(kafka) as publisher:
            assert (await publisher.publish([message(2, topic)])).acknowledged == [2]
        assert [record.value for record in await read_all(kafka_bootstrap, topic)] == [b"1", b"2"]

    on_uvloop(work)


def test_a_publisher_whose_client_no_longer_looks_for_partitions_is_renewed_and_sees_new_ones(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, kafka = f"{topic_prefix}A", {"bootstrap_servers": kafka_bootstrap}

    async def work() -> None:
        await make_topic(kafka_bootstrap, topic, partitions=1)
        async with KafkaPublisher(kafka) as publisher:
            await publisher.publish([message(1, topic)])
            before = publisher._producer
            assert before is not None
            with severed(monkeypatch, lambda name: name.endswith(BROKERS)) as severing:
                await lose_brokers_task(before.client, severing)
            async with admin_client(kafka, "test", "a test", 5_000) as brokers:
                await brokers.create_partitions({topic: NewPartitions(2)})
            published = await publisher.publish([message(number, topic) for number in (2, 3)])
            assert published.acknowledged == [2, 3]
            after = publisher._producer
            assert after is not None
            assert after is not before
            assert not has_died(after)
            assert before.client._conns == {} or not any(c.connected() for c in before.client._conns.values())

    on_uvloop(work)


@pytest.mark.parametrize("stop", [stop_producer, discard_producer])
def test_stopping_a_producer_raises_nothing_though_its_tasks_have_died(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Any], Awaitable[None]]
) -> None:
    async def work() -> None:
        made = await start_producer({"bootstrap_servers": kafka_bootstrap})
        with severed(monkeypatch, lambda name: name.endswith(BROKERS)) as severing:
            await lose_brokers_task(made.client, severing)
        connections = list(made.client._conns.values())
        await stop(made)
        assert [each for each in connections if each.connected()] == []

    on_uvloop(work)


def test_a_question_of_an_operator_over_a_severed_connection_is_an_outage(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> None:
        async with admin_client({"bootstrap_servers": kafka_bootstrap}, "test", "a test", 5_000) as brokers:
            with severed(monkeypatch, lambda name: name.endswith("work")):
                await brokers.list_topics()

    async def work() -> None:
        with pytest.raises(Transient, match="did not answer a test"):
            await ask()

    on_uvloop(work)


def test_closing_the_client_of_an_operators_question_raises_nothing_though_its_task_has_died(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        asked: list[AIOKafkaAdminClient] = []
        async with admin_client({"bootstrap_servers": kafka_bootstrap}, "test", "a test", 5_000) as brokers:
            asked.append(brokers)
            with severed(monkeypatch, lambda name: name.endswith(BROKERS)) as severing:
                await lose_brokers_task(brokers._client, severing)
        assert not any(connection.connected() for connection in asked[0]._client._conns.values())

    on_uvloop(work)


async def replay(kafka: dict[str, Any], topic: str) -> None:
    async with open_topics(Settings(**kafka_settings(kafka))):
        pass


@pytest.mark.parametrize("start", [producer, admin, wire, member, audit, replay])
def test_a_start_over_a_severed_connection_is_an_outage(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    async def work() -> None:
        with severed(monkeypatch) as severing:
            with pytest.raises(Transient):
                await start({"bootstrap_servers": kafka_bootstrap}, f"{topic_prefix}A")
            assert severing.hit.is_set()

    on_uvloop(work)


def test_an_audit_ends_in_order_though_a_task_of_its_client_has_died(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"{topic_prefix}A"

    async def work() -> None:
        await make_topic(kafka_bootstrap, topic)
        settings = Settings(**kafka_settings({"bootstrap_servers": kafka_bootstrap}))
        async with KafkaTopics(settings)._consumer([topic]) as (consumer, _):
            with severed(monkeypatch, lambda name: name.endswith(BROKERS)) as severing:
                await lose_brokers_task(consumer._client, severing)
        assert not any(connection.connected() for connection in consumer._client._conns.values())

    on_uvloop(work)

"""Rights that an administrator takes away and gives back: reading goes on where it stood, by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType
from structlog.testing import capture_logs

from consumers.adapters.kafka.closing import close_client
from consumers.adapters.kafka.source import KafkaSource
from consumers.adapters.kafka.wire import Wire
from domain.errors import Transient
from domain.ports.source import Message
from producers.topics import create_topics
from tests.eventually import EVENTUALLY_S
from tests.guarded import forbidden, guarded
from tests.reading.world import alarms

__all__ = ["guarded"]

pytestmark = pytest.mark.integration

TOPIC = "OrderConfirmed"
GROUP = "payments.authorize_payment"


@asynccontextmanager
async def reading(servers: str) -> AsyncIterator[tuple[KafkaSource, AIOKafkaProducer]]:
    """Read a topic of one partition, at whose end the group stands, with three messages behind it."""
    kafka = {"bootstrap_servers": servers}
    await create_topics(kafka, [TOPIC], partitions=1, replication_factor=1, event_bytes_max=1 << 20)
    source = KafkaSource(TOPIC, GROUP, kafka, linger_s=0.001, drain_timeout_s=1)
    async with AIOKafkaProducer(**kafka) as producer:
        for number in range(3):
            await producer.send_and_wait(TOPIC, b"%d" % number, partition=0)
        await source.start()
        try:
            source.commit_soon(await taken(source, 3))
            await source._committer.flush()
            yield source, producer
        finally:
            await source.close()


async def taken(source: KafkaSource, count: int) -> Sequence[Message]:
    """Take so many messages, whatever the broker refuses meanwhile."""
    messages: list[Message] = []
    async with asyncio.timeout(60):
        while len(messages) < count:
            try:
                messages += await source.take(100, 0.2)
            except Transient:
                await asyncio.sleep(0.05)
    return messages


async def until_refused(source: KafkaSource, words: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                assert not await source.take(100, 0.2)
            except Transient as error:
                if words in str(error):
                    return


@pytest.mark.timeout(180)
async def test_a_consumer_whose_heartbeat_was_refused_reads_again_once_it_may(guarded: str) -> None:
    async with reading(guarded) as (source, producer):
        with forbidden(guarded, ResourceType.GROUP, GROUP, AclOperation.READ):
            await until_refused(source, "GroupAuthorizationFailed")
        await producer.send_and_wait(TOPIC, b"3", partition=0)
        assert [m.value for m in await taken(source, 1)] == [b"3"]


@pytest.mark.timeout(180)
async def test_a_topic_that_may_not_be_looked_at_is_not_taken_for_another_one(guarded: str) -> None:
    async with reading(guarded) as (source, producer):
        with capture_logs() as log:
            with forbidden(guarded, ResourceType.TOPIC, TOPIC, AclOperation.DESCRIBE):
                await until_it_may_not_look(source)
                source._reading._positions._check_at = 0.0
                with suppress(Transient):
                    assert not await source.take(100, 0.2)
            await producer.send_and_wait(TOPIC, b"3", partition=0)
            assert [m.value for m in await taken(source, 1)] == [b"3"]
        assert alarms(log, "topic_made_anew") == []


async def until_it_may_not_look(source: KafkaSource) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                assert await source._wire.topic() is not None
            except Transient as error:
                if "TopicAuthorizationFailed" in str(error):
                    return


class Coordinator:
    """An AIOKafkaClient whose coordinator answers with an error about the whole group."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._conns: dict[object, object] = {}

    async def coordinator_lookup(self, *_: object) -> int:
        return 1

    async def send(self, *_: object) -> Any:
        return OffsetFetchResponse_v3(0, [], self._code)

    async def close(self) -> None:
        """Have nothing to close."""


@pytest.mark.parametrize("code", [14, 15, 16, 30])
async def test_an_error_of_the_whole_group_is_not_taken_for_a_group_that_never_committed(code: int) -> None:
    """A coordinator that moves or loads answers without partitions, for moments that no test can choose."""
    wire = Wire(TOPIC, GROUP, {"bootstrap_servers": "127.0.0.1:1"})
    wire._client = Coordinator(code)
    with pytest.raises(Transient, match="does not say where"):
        await wire.committed([0])


async def test_a_client_that_was_closed_half_way_is_closed_once_more_without_a_word(kafka_bootstrap: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=kafka_bootstrap)
    await client.bootstrap()
    assert await client.ready(client.get_random_node())
    (connection,) = client._conns.values()
    # As a time-out leaves it that ends the library's own close while the other side is silent.
    connection._closed_fut.cancel()
    await asyncio.wait_for(close_client(client), EVENTUALLY_S)
    assert not connection.connected()

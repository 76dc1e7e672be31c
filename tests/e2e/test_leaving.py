"""A process that is told to end does so in time, whatever its group and its brokers are waiting for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from consumers.adapters.kafka.closing import GIVE_UP_S, LEAVE_S
from consumers.adapters.kafka.group_reader import REBALANCE_S
from consumers.adapters.kafka.source import KafkaSource
from consumers.reactions import REACTIONS
from deploy.sources import source_maker
from deploy.topics import owners_of
from producers.topics import create_topics
from tests.consumers.conftest import MakePipeline, database_template, make_pipeline
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import TOGETHER, Deployment
from tests.e2e.script import write_script
from tests.freezing import frozen

__all__ = ["database_template", "make_pipeline"]

pytestmark = pytest.mark.integration

HELD_S = 40
"""How long a member may hold on to its partitions: longer than any process is given to end."""
ENDED_S = LEAVE_S + 3 * GIVE_UP_S + 1
TIMER_S = 2
"""How late a timer may be on a busy machine."""


@asynccontextmanager
async def holding(bootstrap: str, prefix: str) -> AsyncIterator[KafkaSource]:
    """Join a group over one topic, take a message, and hold on to it."""
    kafka = {"bootstrap_servers": bootstrap}
    topic = f"{prefix}OrderConfirmed"
    await create_topics(kafka, owners_of(prefix), partitions=2, replication_factor=1, event_bytes_max=1 << 20)
    async with AIOKafkaProducer(**kafka) as producer:
        await producer.send_and_wait(topic, b"value", key=b"key")
    source = source_over(bootstrap, prefix)
    await source.start()
    try:
        while not await source.take(10, 0.2):
            pass
        async with source.processing():
            yield source
    finally:
        await source.close()


def source_over(bootstrap: str, prefix: str) -> KafkaSource:
    kafka = {"bootstrap_servers": bootstrap}
    return KafkaSource(f"{prefix}OrderConfirmed", f"{prefix}group", kafka, linger_s=0.001, drain_timeout_s=HELD_S)


async def test_a_member_that_waits_for_the_others_to_join_can_leave(kafka_bootstrap: str, topic_prefix: str) -> None:
    async with holding(kafka_bootstrap, topic_prefix) as holder:
        joining = source_over(kafka_bootstrap, topic_prefix)
        await joining.start()
        async with asyncio.timeout(1 + REBALANCE_S + TIMER_S):
            assert not await joining.take(10, 1), "it is no member before the other has let go"
        async with asyncio.timeout(ENDED_S):
            await joining.close()
        assert not holder.blocked()


async def test_what_left_so_keeps_no_partition(kafka_bootstrap: str, topic_prefix: str) -> None:
    async with holding(kafka_bootstrap, topic_prefix):
        joining = source_over(kafka_bootstrap, topic_prefix)
        await joining.start()
        await joining.take(10, 1)
        await joining.close()
    third = source_over(kafka_bootstrap, topic_prefix)
    await third.start()
    try:
        async with asyncio.timeout(60):
            while not await third.take(10, 0.5):
                pass
    finally:
        await third.close()


async def test_a_process_that_is_stopped_waits_for_no_broker_that_is_silent(make_pipeline: MakePipeline) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def take_in(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        connected.set()

    connected = asyncio.Event()
    silent = await asyncio.start_server(take_in, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    pipeline = await make_pipeline()
    settings = pipeline.settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{port}"})
    stop = asyncio.Event()
    engine = pipeline.engine(pipeline.store())
    running = asyncio.ensure_future(engine.run(stop, REACTIONS, source_maker(settings), sweep=False))
    try:
        await asyncio.wait_for(connected.wait(), 10)
        stop.set()
        with capture_logs() as log:
            await asyncio.wait_for(running, ENDED_S)
        assert not [entry for entry in log if entry["log_level"] == "error"]
    finally:
        for writer in connections:
            writer.close()
        silent.close()
        await silent.wait_closed()


@pytest.mark.kill
@pytest.mark.timeout(300)
def test_processes_that_are_stopped_wait_for_no_database_that_is_frozen(shop: Deployment) -> None:
    shop.start(*TOGETHER, PAYMENTS_DRAIN_TIMEOUT_S="3")
    shop.publish(write_script(300, seed=5))
    shop.await_settled(20)
    with frozen(shop.servers.postgres.pid):
        shop.stop()
    shop.start(*TOGETHER)
    check_as_scripted(shop)
    shop.stop()

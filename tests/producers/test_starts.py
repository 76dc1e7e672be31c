"""A start that is broken off leaves no connection open, whoever starts which client."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiokafka.client
import pytest
from aiokafka.conn import AIOKafkaConnection

from consumers.adapters.kafka.membership import Membership
from consumers.adapters.kafka.wire import Wire
from deploy.kafka_topics import KafkaTopics
from deploy.settings import Settings
from producers.connection import admin_client, start_producer
from tests.eventually import EVENTUALLY_S
from tests.producers.reading import make_topic

pytestmark = pytest.mark.integration

Start = Callable[[dict[str, Any], str], Awaitable[object]]


async def producer(kafka: dict[str, Any], topic: str) -> None:
    await start_producer(kafka)


async def admin(kafka: dict[str, Any], topic: str) -> None:
    async with admin_client(kafka, "test", "a question", 5_000):
        pass


async def wire(kafka: dict[str, Any], topic: str) -> None:
    await Wire(topic, "group", kafka).fetch(0, 0, 1_000)


async def nothing_to_flush() -> None:
    """Have nothing that is not committed."""


async def member(kafka: dict[str, Any], topic: str) -> None:
    await Membership(topic, "group", kafka, 5, lambda _: None, nothing_to_flush).join()


async def rejoining_member(kafka: dict[str, Any], topic: str) -> None:
    membership = Membership(topic, "group", kafka, 5, lambda _: None, nothing_to_flush)
    try:
        await membership.rejoin(60)
    finally:
        await membership.leave()


def kafka_settings(kafka: dict[str, Any]) -> dict[str, Any]:
    return {f"kafka_{name}": value for name, value in kafka.items()}


async def audit(kafka: dict[str, Any], topic: str) -> None:
    async with KafkaTopics(Settings(**kafka_settings(kafka)))._consumer([topic]):
        pass


@pytest.mark.parametrize("start", [producer, admin, wire, member, rejoining_member, audit])
async def test_a_start_that_is_cancelled_once_it_is_connected_closes_its_connections(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic, partitions=1)
    made: list[AIOKafkaConnection] = []
    connected = asyncio.Event()
    real = aiokafka.client.create_conn

    async def noting(*args: Any, **options: Any) -> AIOKafkaConnection:
        connection = await real(*args, **options)
        made.append(connection)
        connected.set()
        return connection

    monkeypatch.setattr(aiokafka.client, "create_conn", noting)
    starting = asyncio.ensure_future(partial(start, {"bootstrap_servers": kafka_bootstrap}, topic)())
    await asyncio.wait_for(connected.wait(), EVENTUALLY_S)
    starting.cancel()
    await asyncio.wait([starting], timeout=EVENTUALLY_S)
    assert starting.cancelled()
    assert made
    assert [connection for connection in made if connection.connected()] == []

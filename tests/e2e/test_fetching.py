"""A backlog stays with the broker: of each partition a consumer holds a quarter of a megabyte, however much waits."""

import asyncio
import secrets
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import FetchResult

from consumers.adapters.kafka.source import KafkaSource
from domain.ports.source import Message
from producers.topics import create_topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PARTITIONS: Final = 2
HELD: Final = 256 << 10
MESSAGES: Final = 3_000
BODY: Final = bytes(1_000)
KAFKAS_BATCH: Final = 16 << 10
"""aiokafka's producer makes batches of this size; a broker sends whole ones."""


def held(source: KafkaSource) -> list[int]:
    """Return the bytes that the client has read ahead of each partition."""
    consumer = source._membership.consumer
    assert consumer is not None
    read_ahead = consumer._fetcher._records.values()
    # An error stands among them until the source has asked where to begin.
    results = [one for one in read_ahead if isinstance(one, FetchResult) and one.has_more()]
    return [one._partition_records._records.size_in_bytes() for one in results]


async def test_of_a_backlog_a_quarter_of_a_megabyte_of_each_partition_is_held_and_all_of_it_is_read(
    kafka_bootstrap: str,
) -> None:
    topic, kafka = f"backlog-{secrets.token_hex(4)}", {"bootstrap_servers": kafka_bootstrap}
    await create_topics(kafka, [topic], partitions=PARTITIONS, replication_factor=1, event_bytes_max=1 << 20)
    async with AIOKafkaProducer(**kafka) as producer:
        sent = [await producer.send(topic, BODY, partition=n % PARTITIONS) for n in range(PARTITIONS * MESSAGES)]
        await asyncio.gather(*sent)
    source = KafkaSource(topic, topic, kafka, linger_s=0.001, drain_timeout_s=1)
    await source.start()
    try:
        taken: list[Message] = []
        most: list[int] = []
        async with asyncio.timeout(120):
            while len(taken) < PARTITIONS * MESSAGES:
                taken += await source.take(500, 0.2)
                most += held(source)
    finally:
        await source.close()
    assert HELD // 2 < max(most) <= HELD + KAFKAS_BATCH
    places = {(message.partition, message.offset) for message in taken}
    assert places == {(partition, offset) for partition in range(PARTITIONS) for offset in range(MESSAGES)}

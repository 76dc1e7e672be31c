"""Reading whole topics for an audit or a rebuild takes no more memory because there is more to read."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.kafka_topics import FETCH_BYTES, KafkaTopics
from deploy.settings import load_settings

PARTITIONS = 3
VALUE = bytes(10_000)
EACH = 60
BATCH_BYTES = 16_384
"""The largest batch of the producer; a batch is never cut."""


@pytest.mark.integration
async def test_what_is_read_ahead_of_a_partition_is_bounded_however_long_it_is(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    settings = load_settings(deployment, directory=tmp_path)
    async with AIOKafkaProducer(
        **settings.kafka_options(), max_batch_size=BATCH_BYTES, enable_idempotence=True
    ) as producer:
        for number in range(PARTITIONS * EACH):
            await producer.send(f"{settings.topic_prefix}OrderConfirmed", VALUE, partition=number % PARTITIONS)
    assert EACH * len(VALUE) > 4 * FETCH_BYTES, "a partition has far more than is read ahead"

    groups = [group async for group in KafkaTopics(settings, ["OrderConfirmed"]).messages()]

    read = [message for group in groups for message in group]
    assert len(read) == len({(m.partition, m.offset) for m in read}) == PARTITIONS * EACH
    assert max(sum(len(m.value or b"") for m in group) for group in groups) <= FETCH_BYTES + BATCH_BYTES

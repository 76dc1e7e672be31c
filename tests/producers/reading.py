"""What stands on topics, read back from the first message to the last."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from tests.eventually import POLL_S


async def read_all(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Read every message of a topic; per partition in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while len(records) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(batch)
        return records
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> Sequence[int]:
    await consumer._client.add_topic(topic)
    return sorted(consumer.partitions_for_topic(topic) or ())


async def make_topic(bootstrap: str, name: str, partitions: int = 1, **configs: str) -> None:
    """Make a topic with settings of a test's own, dots written as underscores."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        response = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        assert [error[1] for error in response.topic_errors] == [0]
    finally:
        await admin.close()


async def settings_of(bootstrap: str, topic: str) -> dict[str, str]:
    """Read a topic's settings as the broker has them."""
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        while True:
            (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            ((code, _, _, _, entries),) = response.resources
            if code != UnknownTopicOrPartitionError.errno:
                return {entry[0]: entry[1] for entry in entries}
            # A broker hears of a new topic a moment after the controller has it.
            await asyncio.sleep(POLL_S)
    finally:
        await admin.close()

"""What these tests publish, damage and see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from consumers.reactions import BY_NAME
from domain.reaction import Reaction
from schemas.events import OrderConfirmed
from schemas.topics import topic_name
from tests.consumers.harness import Pipeline
from tests.reading.segments import Segment

ORDERS = "OrderConfirmed"
AUTHORIZE = BY_NAME["authorize_payment"]


def topic_of(pipeline: Pipeline, event_type: str = ORDERS) -> str:
    return topic_name(pipeline.settings.topic_prefix, event_type)


def segment(pipeline: Pipeline, data_dir: Path, partition: int, event_type: str = ORDERS) -> Segment:
    return Segment(data_dir, topic_of(pipeline, event_type), partition)


async def publish_batch(pipeline: Pipeline, partition: int, orders: Sequence[OrderConfirmed]) -> tuple[int, int]:
    """Publish these orders as one batch; return its first and last offset."""
    async with AIOKafkaProducer(acks="all", **pipeline.settings.kafka_options()) as producer:
        batch = producer.create_batch()
        for order in orders:
            batch.append(key=order.order_id.encode(), value=pipeline.codec.encode(order), timestamp=None)
        sent = await (await producer.send_batch(batch, topic_of(pipeline), partition=partition))
    return sent.offset, sent.offset + len(orders) - 1


async def committed(pipeline: Pipeline) -> dict[int, int]:
    """Return how far the group that authorizes has committed, by partition."""
    admin = AIOKafkaAdminClient(**pipeline.settings.kafka_options())
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(pipeline.settings.topic_prefix + AUTHORIZE.group)
    finally:
        await admin.close()
    return {p.partition: at.offset for p, at in found.items() if p.topic == topic_of(pipeline)}


def alarms(log: Sequence[Any], reason: str) -> list[dict[str, Any]]:
    """Return the alarms of this reason."""
    return [entry for entry in log if entry.get("alarm") and entry.get("reason") == reason]


async def until_rung(pipeline: Pipeline, log: Sequence[Any], reason: str, count: int = 1) -> list[dict[str, Any]]:
    async def rung() -> bool:
        return len(alarms(log, reason)) >= count

    await pipeline.until(rung, f"alarm {reason}")
    return alarms(log, reason)


async def until_committed(pipeline: Pipeline, ends: dict[int, int]) -> None:
    async def there() -> bool:
        found = await committed(pipeline)
        return all(found.get(partition, 0) >= end for partition, end in ends.items())

    await pipeline.until(there, f"committed {ends}")


async def rewind(pipeline: Pipeline, reaction: Reaction, offset: int) -> None:
    """Have the group stand there again on partition 0, as if the commit behind it had not come to Kafka."""
    group = pipeline.settings.topic_prefix + reaction.group
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **pipeline.settings.kafka_options())
    async with consumer:
        partition = TopicPartition(topic_of(pipeline, reaction.trigger.TYPE), 0)
        consumer.assign([partition])
        await consumer.commit({partition: offset})
        assert await consumer.committed(partition) == offset

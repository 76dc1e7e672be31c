"""What stands on topics, read by a plain consumer from the beginning to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


@dataclass(frozen=True, slots=True)
class Read:
    """One message. event_type: the topic without prefix."""

    event_type: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def header(self) -> dict[str, bytes]:
        """Return those with a value, by name."""
        return {name: value for name, value in self.headers if value is not None}


async def read_topics(kafka: Mapping[str, Any], names: Sequence[str], prefix: str) -> list[Read]:
    """Read whole topics, per partition in order."""
    consumer = AIOKafkaConsumer(*names, auto_offset_reset="earliest", enable_auto_commit=False, **kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, n) for name in names for n in consumer.partitions_for_topic(name) or ()]
        assert {p.topic for p in partitions} == set(names), "a topic is missing"
        ends = await consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[Any]] = {partition: [] for partition in partitions}
        while sum(len(records) for records in found.values()) < sum(ends.values()):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                found[partition] += [record for record in records if record.offset < ends[partition]]
    finally:
        await consumer.stop()
    return [
        Read(r.topic.removeprefix(prefix), r.partition, r.offset, r.key, r.value, tuple(r.headers))
        for records in found.values()
        for r in records
    ]

"""How far each consumer group is behind, in messages and in seconds; also of groups that have no member now."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from aiokafka.record import MemoryRecords

from consumers.adapters.kafka.unpacking import bound_unpacking
from consumers.adapters.kafka.wire import Wire
from deploy.consuming import consumed_with
from deploy.settings import Settings
from domain.errors import Transient
from schemas.topics import topic_name

FETCH_BYTES: Final = 1
"""A broker sends one whole batch, at least."""
_BASE_TIMESTAMP: Final = slice(27, 35)
"""In the head of a batch: the time-stamp of its first record. It is never compressed."""
_HEAD: Final = 43


class Lag(NamedTuple):
    """messages: up to the last stable offset. seconds: the age of the oldest of them; 0 if there is none."""

    messages: int
    seconds: float


class Lags:
    """Reads the lags of all groups that these settings have work for. now: reads the clock."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        bound_unpacking(settings.unpacked_bytes_max)
        prefix = settings.topic_prefix
        self._now = now
        self._wires = {
            (prefix + reaction.group, topic_name(prefix, reaction.trigger.TYPE)): Wire(
                topic_name(prefix, reaction.trigger.TYPE), prefix + reaction.group, settings.kafka_options()
            )
            for reaction in consumed_with(settings)
        }

    async def read(self) -> dict[tuple[str, str], Lag]:
        """Return the lag by group and topic. Raises Transient if Kafka does not answer."""
        return {names: await self._lag(wire) for names, wire in self._wires.items()}

    async def close(self) -> None:
        """Close the connections."""
        for wire in self._wires.values():
            await wire.close()

    async def _lag(self, wire: Wire) -> Lag:
        topic = await wire.topic()
        if topic is None:
            return Lag(0, 0.0)
        committed = await wire.committed(topic.partitions)
        messages, oldest_ms = 0, None
        for partition, (first, end) in (await wire.all_bounds(topic.partitions)).items():
            at = max(committed[partition].offset, first) if partition in committed else first
            if at >= end:
                continue
            messages += end - at
            since_ms = await self._time_of(wire, partition, at)
            if since_ms is not None:
                oldest_ms = since_ms if oldest_ms is None else min(oldest_ms, since_ms)
        age_s = 0.0 if oldest_ms is None else max(self._now().timestamp() - oldest_ms / 1000, 0.0)
        return Lag(messages, age_s)

    async def _time_of(self, wire: Wire, partition: int, offset: int) -> int | None:
        """Return the time-stamp of the first record from this offset on, in milliseconds since 1970."""
        fetched = await wire.fetch(partition, offset, FETCH_BYTES)
        if fetched.error is not None:
            raise Transient(f"Kafka does not send what is at {offset} of partition {partition} ({fetched.error})")
        return first_time(fetched.raw, offset)


def first_time(data: bytes, offset: int) -> int | None:
    """Return the time-stamp of the first record from this offset on; None if there is no batch, or none with a record.

    A batch that cannot be unpacked still says when it began.
    """
    if len(data) < _HEAD:
        return None
    try:
        records = MemoryRecords(data)
        while records.has_next():
            batch = records.next_batch()
            if not batch.is_control_batch:
                for record in batch:
                    if record.offset >= offset:
                        return int(record.timestamp)
    except Exception:  # noqa: BLE001 - a codec's own errors belong to no family
        return int.from_bytes(data[_BASE_TIMESTAMP], "big", signed=True)
    return None

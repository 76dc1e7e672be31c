"""Which partition each message goes to."""

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache
from struct import unpack_from
from typing import Final

from aiokafka.client import AIOKafkaClient

from domain.ports.publisher import OutgoingMessage, Refusal, Scope
from producers.lanes import Lane, Results

TOPIC_WAIT_S: Final = 2.0
"""How long we look for a topic: it may be seconds old, and not every broker knows it yet."""
TOPIC_POLL_S: Final = 0.1
TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
KEYS_CACHED: Final = 8_192
_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_SHIFT: Final = 24
_MASK: Final = 0xFFFFFFFF


async def sort_into_lanes(
    client: AIOKafkaClient, messages: Sequence[OutgoingMessage], results: Results, answer_s: float
) -> list[Lane]:
    """Sort messages by partition. Close topics that cannot be written to. Raises TimeoutError after answer_s."""
    partitions: dict[str, int] = {}
    lanes: dict[tuple[str, int], Lane] = {}
    for message in messages:
        topic = message.topic
        count = partitions.get(topic)
        if count is None:
            count = partitions[topic] = await _count_partitions(client, topic, results, answer_s)
        # A message without a key has no order to keep. Its id spreads such messages evenly.
        number = message.id if message.key is None else hash_of(message.key)
        place = (topic, number % count)
        lane = lanes.get(place)
        if lane is None:
            lane = lanes[place] = Lane(*place)
        lane.waiting.append(message)
    return list(lanes.values())


async def _count_partitions(client: AIOKafkaClient, topic: str, results: Results, answer_s: float) -> int:
    """Return how many partitions a topic has. A topic that cannot be written to is closed, and counts as one."""
    if found := client.cluster.partitions_for_topic(topic):
        return len(found)
    if TOPIC.fullmatch(topic) is None:
        return _close(results, topic, f"{topic[:300]!r} is no valid topic: check PAYMENTS_TOPIC_PREFIX")
    loop = asyncio.get_running_loop()
    until = loop.time() + TOPIC_WAIT_S
    async with asyncio.timeout(answer_s):
        await client.add_topic(topic)
    while not (found := client.cluster.partitions_for_topic(topic)):
        async with asyncio.timeout(answer_s):
            if not await client.force_metadata_update():
                raise TimeoutError
        if topic in client.cluster.unauthorized_topics:
            why = f"not allowed to write to topic {topic}: grant this user WRITE and DESCRIBE on it"
            return _close(results, topic, why)
        if loop.time() > until:
            return _close(results, topic, f"topic {topic} does not exist: run `payments topics create`")
        await asyncio.sleep(TOPIC_POLL_S)
    return len(found)


def _close(results: Results, topic: str, why: str) -> int:
    results.closed[topic] = Refusal(why, Scope.TOPIC)
    return 1


@lru_cache(maxsize=KEYS_CACHED)
def hash_of(key: bytes) -> int:
    """Hash a key as every Kafka client does by default, so that a key has one partition whoever publishes.

    It is MurmurHash2 (32 bits) with Kafka's seed and without the sign. aiokafka's takes three times as long. All
    messages of an order have one key and come close together, so the cache saves most of the work.
    """
    size = len(key)
    words = size >> 2
    hashed = _SEED ^ size
    for word in unpack_from(f"<{words}I", key):
        mixed = word * _FACTOR & _MASK
        hashed = (hashed * _FACTOR ^ (mixed ^ mixed >> _SHIFT) * _FACTOR) & _MASK
    tail = key[words << 2 :]
    if tail:
        hashed = (hashed ^ int.from_bytes(tail, "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF

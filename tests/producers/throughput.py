"""How many messages a second the publisher sends, beside aiokafka's own send(): not a test, a measurement.

Run it with `python -m tests.producers.throughput HOST:PORT [MESSAGES]`; it makes five topics and leaves them.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from domain.ports.publisher import OutgoingMessage
from producers.connection import start_producer, stop_producer
from producers.kafka_publisher import KafkaPublisher
from producers.topics import create_topics

BATCH = 2000
BODY_BYTES = 400
TOPICS = [f"throughput.{number}" for number in range(5)]
HEADERS = [(f"ce_header{number}", b"0b0c9dd6-6f0b-5f0e-9a3c-1f5b3c6f2f11") for number in range(8)]

Send = Callable[[list[OutgoingMessage]], Awaitable[object]]


def orders(count: int) -> list[OutgoingMessage]:
    """Make five messages an order, one on each topic."""
    body = random.Random(1).randbytes(BODY_BYTES)
    return [
        OutgoingMessage(number, TOPICS[number % 5], b"order-%08d" % (number // 5), body, HEADERS)
        for number in range(count)
    ]


async def measure(name: str, messages: list[OutgoingMessage], send: Send) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(messages), BATCH):
        await send(messages[start : start + BATCH])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(f"{name}: {len(messages) / wall:,.0f}/s, {cpu / len(messages) * 1e6:.1f} us CPU a message\n")


async def compare(bootstrap: str, count: int) -> None:
    kafka = {"bootstrap_servers": bootstrap}
    await create_topics(kafka, TOPICS, partitions=12, replication_factor=1, event_bytes_max=1_000_000)
    messages = orders(count)
    async with KafkaPublisher(kafka) as publisher:
        await publisher.publish(messages[:BATCH])
        await measure("publisher", messages, publisher.publish)
    producer = await start_producer(kafka)

    async def send(batch: list[OutgoingMessage]) -> None:
        sent = [await producer.send(one.topic, one.value, key=one.key, headers=one.headers) for one in batch]
        await asyncio.gather(*sent)

    await measure("send()", messages, send)
    await stop_producer(producer)


if __name__ == "__main__":
    uvloop.run(compare(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200_000))

"""Fills a topic with OrderConfirmed by the hundred thousand: our encoder's bytes, with other ids spliced in."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

from confluent_kafka import Producer

from schemas.codec import Codec
from tests.schemas.builders import AT, order_confirmed

NAME: Final = "order-00000000"
ID: Final = UUID(int=0)


def bodies(count: int, days: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of so many events, each with an id of its own, dealt to these days."""
    draw = random.Random(seed)
    codec = Codec()
    templates = [
        codec.encode(
            order_confirmed(
                order_id=NAME, correlation_id=NAME, event_id=ID, occurred_at=AT + timedelta(days=day), causation_id=None
            )
        )
        for day in range(days)
    ]
    for number in range(count):
        name = b"order-%08d" % number
        event_id = str(UUID(int=draw.getrandbits(128), version=4)).encode()
        value = templates[number * days // count].replace(NAME.encode(), name).replace(str(ID).encode(), event_id)
        yield name, value


def fill(servers: str, topic: str, messages: Iterator[tuple[bytes, bytes]], *, repeat_every: int) -> int:
    """Publish these messages, and every so-manieth once more. Return how many messages there are then."""
    options = {"linger.ms": 20, "queue.buffering.max.messages": 200_000, "log_level": 0}
    producer = Producer({"bootstrap.servers": servers, **options})
    sent = 0
    for number, (key, value) in enumerate(messages):
        for _ in range(2 if number % repeat_every == 0 else 1):
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        producer.poll(0)
    assert producer.flush(120) == 0
    return sent

"""Topics from their first message to their last, by librdkafka: another client than the product's.

Offsets that no client can read are stepped over: the harness knows them, for it made them so.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.chaos.clock import unix_s
from tests.chaos.faults.scene import Stretch

ANSWER_S: Final = 30.0
QUIET_S: Final = 20.0
"""So long without a message and without the end of a partition, and reading is given up."""
TAKE: Final = 5_000
Place = tuple[str, int]


class Unread(RuntimeError):  # noqa: N818 - an answer about the evidence
    """A partition could not be read to its end."""


def read(bootstrap: str, topics: Collection[str], stretches: Collection[Stretch] = ()) -> Iterator[Any]:
    """Give confluent-kafka's messages, committed ones only, per partition in order. Raises Unread."""
    spoilt: dict[Place, list[Stretch]] = defaultdict(list)
    for stretch in stretches:
        spoilt[stretch.topic, stretch.partition].append(stretch)
    consumer = _consumer(bootstrap)
    try:
        known = consumer.list_topics(timeout=ANSWER_S).topics
        places = [(topic, number) for topic in topics for number in known[topic].partitions]
        yield from _whole(consumer, [place for place in places if place not in spoilt])
        for place in places:
            if place in spoilt:
                yield from _around(consumer, place, sorted(spoilt[place], key=lambda stretch: stretch.first))
    finally:
        consumer.close()


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "oracle",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )


def _whole(consumer: Consumer, places: list[Place]) -> Iterator[Any]:
    left = {place for place in places if _bounds(consumer, place)[1]}
    consumer.assign([TopicPartition(*place, _bounds(consumer, place)[0]) for place in left])
    yield from _until_ends(consumer, left)


def _around(consumer: Consumer, place: Place, stretches: list[Stretch]) -> Iterator[Any]:
    """Read what lies between the stretches, piece by piece."""
    at, _ = _bounds(consumer, place)
    for stretch in stretches:
        if at < stretch.first:
            consumer.assign([TopicPartition(*place, at)])
            yield from _until_offset(consumer, stretch.first)
        at = stretch.last + 1
    consumer.assign([TopicPartition(*place, at)])
    yield from _until_ends(consumer, {place})


def _until_ends(consumer: Consumer, left: set[Place]) -> Iterator[Any]:
    moved_at = unix_s()
    while left:
        for message in consumer.consume(TAKE, 1.0):
            moved_at = unix_s()
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((str(message.topic()), int(message.partition() or 0)))
            else:
                raise Unread(f"{message.topic()}[{message.partition()}]: {error}")
        if unix_s() - moved_at > QUIET_S:
            raise Unread(f"{sorted(left)} came to no end")


def _until_offset(consumer: Consumer, end: int) -> Iterator[Any]:
    """Read up to this offset. The stretch that begins there is an error, or the end of what comes."""
    moved_at, last = unix_s(), -1
    while last < end - 1:
        message = consumer.poll(0.5)
        if message is None:
            if unix_s() - moved_at > 2:
                return
            continue
        moved_at = unix_s()
        if message.error() is not None or (offset := int(message.offset() or 0)) >= end:
            return
        last = offset
        yield message


def _bounds(consumer: Consumer, place: Place) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_S)
    return int(low), int(high)

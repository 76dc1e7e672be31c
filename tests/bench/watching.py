"""What an outside consumer sees: when each order's outcome appeared on its topic."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.bench.peers import common

POLL_S = 0.005
LEADER_S = 10.0
READ_MAX = 5_000
"""Messages a call: far more than any contestant sends within POLL_S, so that no call returns for being full."""


class Watcher:
    """Reads the terminal topics in a thread. seen: order id -> [(event, when)]; times are perf_counter's.

    clients: librdkafka's options to connect.
    """

    def __init__(self, clients: Mapping[str, Any], prefix: str, partitions: int) -> None:
        self.seen: dict[str, list[tuple[str, float]]] = {}
        self._clients = clients
        self._prefix = prefix
        self._partitions = partitions
        self._end = threading.Event()
        self._more = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(10)

    def first_seen(self, order_id: str) -> float | None:
        """Return when the order's outcome appeared."""
        seen = self.seen.get(order_id)
        return seen[0][1] if seen else None

    def wait(self, timeout_s: float) -> None:
        """Wait until more was seen since the last time, at most so long. For one thread."""
        self._more.wait(timeout_s)
        self._more.clear()

    def _read(self) -> None:
        consumer = Consumer(
            {
                **self._clients,
                "group.id": "bench-watcher",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign(
            [
                TopicPartition(self._prefix + event, partition, OFFSET_BEGINNING)
                for event in common.TERMINAL
                for partition in range(self._partitions)
            ]
        )
        cut = len(self._prefix)
        while not self._end.is_set():
            messages = consumer.consume(READ_MAX, POLL_S)
            now = time.perf_counter()
            for message in messages:
                key, topic = message.key(), message.topic()
                if message.error() is None and key is not None and topic is not None:
                    self.seen.setdefault(key.decode(), []).append((topic[cut:], now))
            if messages:
                self._more.set()
        consumer.close()


def _end_of(consumer: Consumer, place: TopicPartition) -> int:
    """Ask for the end of a partition; one that was made a moment ago may have no leader yet."""
    until = time.monotonic() + LEADER_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, 10)[1])
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)


@contextmanager
def counting(clients: Mapping[str, Any]) -> Iterator[Callable[[str, int], int]]:
    """Give what counts the messages of a topic with so many partitions, by its watermarks."""
    consumer = Consumer({**clients, "group.id": "bench-count"})

    def count(topic: str, partitions: int) -> int:
        return sum(_end_of(consumer, TopicPartition(topic, partition)) for partition in range(partitions))

    try:
        yield count
    finally:
        consumer.close()

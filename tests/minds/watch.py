"""Watches our topics, as a neighbour would, and tells of each event once."""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.chaos import avro

LOOK_S: Final = 0.05
METADATA_S: Final = 5.0
Tell = Callable[[str, dict[str, Any]], None]


class Watch:
    """tell: called in a thread of its own with an event's type and its fields."""

    def __init__(self, bootstrap: str, prefix: str, event_types: Collection[str], tell: Tell) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._topics = [prefix + name for name in event_types]
        self._tell = tell
        self._seen: set[str] = set()
        self._closing = threading.Event()
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. May be repeated."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "minds",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # A topic that was made anew is read from its beginning.
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 500,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        try:
            while not (places := self._places(consumer)):
                if self._closing.is_set():
                    return
            consumer.assign(places)
            while not self._closing.is_set():
                for message in consumer.consume(500, LOOK_S):
                    if message.error() is None:
                        self._take(message)
        finally:
            consumer.close()

    def _places(self, consumer: Consumer) -> list[TopicPartition]:
        with suppress(KafkaException, KeyError):
            known = consumer.list_topics(timeout=METADATA_S).topics
            return [TopicPartition(name, n, OFFSET_BEGINNING) for name in self._topics for n in known[name].partitions]
        return []

    def _take(self, message: Any) -> None:
        event_type = str(message.topic()).removeprefix(self._prefix)
        try:
            fields = avro.decode(event_type, message.value())
            if fields["event_id"] in self._seen:
                return
            self._seen.add(fields["event_id"])
            self._tell(event_type, fields)
        except Exception as error:  # noqa: BLE001 - it is told in the verdict
            self.errors.append(f"{message.topic()}: {type(error).__name__}: {error}")

"""Transactions of Kafka's producers that somebody has begun on our partitions and does not end."""

from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.alarms import Lasting, Log

OPEN_S: Final = 60
"""Brokers end a transaction whose producer has gone by its time-out, a minute by default."""


class OpenTransactions:
    """Rings where messages have waited for long behind the beginning of a transaction, and says when that is over."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        self._rung: dict[TopicPartition, Lasting] = {}

    def forget(self) -> None:
        """Begin anew: after an assignment."""
        self._since.clear()
        self._rung.clear()

    def look(self, consumer: AIOKafkaConsumer, stand: Mapping[TopicPartition, int], now: float) -> None:
        """Look at partitions in which nothing can be read further. stand: where each of them is read next."""
        for partition, position in stand.items():
            stable = consumer.last_stable_offset(partition)
            is_open = stable is not None and position >= stable and (consumer.highwater(partition) or 0) > stable
            offset, since = self._since.get(partition, (position, now))
            if not is_open or offset != position:
                self._since.pop(partition, None)
                if partition in self._rung:
                    self._rung.pop(partition).end(now, "going on", partition=partition.partition)
            elif now - since < OPEN_S:
                self._since[partition] = offset, since
            else:
                lasting = self._rung.setdefault(partition, Lasting(self._log, "transaction_open"))
                lasting.again(now, "messages wait", partition=partition.partition, offset=position)

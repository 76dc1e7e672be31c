"""Kafka transactions that a producer has begun on our partitions and does not end."""

from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.alarms import Lasting, Log

OPEN_S: Final = 60
"""By default brokers end the transaction of a lost producer after a minute."""


class OpenTransactions:
    """Rings when messages wait too long behind an open transaction, and logs when that is over."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        self._rung: dict[TopicPartition, Lasting] = {}

    def forget(self) -> None:
        """Forget all partitions, after an assignment."""
        self._since.clear()
        self._rung.clear()

    def check(self, consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int], now: float) -> None:
        """Check partitions of which nothing was read. positions: the next offset of each."""
        for partition, position in positions.items():
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

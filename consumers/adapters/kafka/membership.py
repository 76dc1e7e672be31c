"""A member of a consumer group. Every option is set here; the library's defaults lose or skip messages."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from consumers.adapters.kafka.closing import leave_group
from domain.errors import Transient

HOUR_MS: Final = 3_600_000
METADATA_MS: Final = 10_000
"""Partitions that were added, and topics made anew, are seen within that time."""

Assigned = Callable[[Collection[TopicPartition]], None]


async def join_group(
    topic: str,
    group: str,
    connection: Mapping[str, Any],
    busy: asyncio.Lock,
    drain_timeout_s: float,
    assigned: Assigned,
) -> AIOKafkaConsumer:
    """Join the group. Raises Transient when no broker answers.

    busy is held while a batch is in hand: partitions are given up afterwards. assigned is called at every assignment,
    before anything of it is read.
    """
    consumer = AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        # A position that the partition does not have is a loss, or another topic: we look, and then decide.
        auto_offset_reset="none",
        check_crcs=True,
        isolation_level="read_committed",
        fetch_max_wait_ms=500,
        fetch_min_bytes=1,
        fetch_max_bytes=50 << 20,
        max_partition_fetch_bytes=4 << 20,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=3_000,
        rebalance_timeout_ms=int((drain_timeout_s + 10) * 1000),
        # Our own watchdog knows better than a poll clock: a batch that waits out an outage is no dead consumer.
        max_poll_interval_ms=24 * HOUR_MS,
        metadata_max_age_ms=METADATA_MS,
        retry_backoff_ms=100,
        request_timeout_ms=40_000,
        **connection,
    )
    try:
        await consumer.start()
    except BaseException as error:
        await leave_group(consumer)
        if isinstance(error, KafkaError):
            raise Transient(f"Kafka does not answer: {error!r}") from error
        raise
    consumer.subscribe([topic], listener=_Draining(busy, drain_timeout_s, assigned))
    return consumer


class _Draining(ConsumerRebalanceListener):  # type: ignore[misc]
    """Gives up partitions only once the batch in hand is planned and committed."""

    def __init__(self, busy: asyncio.Lock, timeout_s: float, assigned: Assigned) -> None:
        self._busy = busy
        self._timeout_s = timeout_s
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Wait for the batch in hand, at most so long: the inbox makes a repeated one harmless."""
        if revoked:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s), self._busy:
                    return

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin at the committed offsets; what was processed behind them comes again, without effect."""
        self._assigned(assigned)

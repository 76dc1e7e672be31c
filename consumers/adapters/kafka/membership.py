"""A member of a consumer group. Every option is set here, because the library's defaults lose or skip messages."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from consumers.adapters.kafka.closing import begun, stop_consumer
from consumers.adapters.kafka.no_answer import NO_ANSWER
from domain.errors import Transient
from domain.ports.source import Message

DAY_MS: Final = 86_400_000
METADATA_MS: Final = 10_000
"""We notice added partitions, and topics made anew, within that time."""
HEARTBEAT_MS: Final = 1_000
"""A member learns from its heartbeat that another joins or leaves. The group stands still until the last one has learnt
it, and an order passes through several groups: with the usual three seconds a restart could hold it up for more than
five."""
UNASSIGNED_S: Final = 20
"""How long a group may take to assign its partitions, beyond the time that its members may drain."""

PARTITION_BYTES: Final = 256 << 10
"""Of each partition the client holds so much ahead at most: what a batch of five hundred messages takes if all are of
one.

With four megabytes twelve groups of four partitions may hold 192 MB of a backlog, whatever a batch needs. A batch of
Kafka's that is larger comes whole: brokers send at least one.
"""
FETCH_BYTES: Final = 1 << 20
"""One answer of a broker. The client asks again for a partition when it has nothing of it left."""

Assigned = Callable[[Collection[TopicPartition]], None]


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Joins the group, joins it anew after the client was lost, and leaves it.

    connection: aiokafka's options for the brokers' address and security. assigned is called at every assignment, before
    anything of it is read. busy is held while a batch is processed: the client gives up partitions only afterwards,
    and after flush, which commits what is done.
    """

    def __init__(
        self,
        topic: str,
        group: str,
        connection: Mapping[str, Any],
        drain_timeout_s: float,
        assigned: Assigned,
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        self._topic = topic
        self._group = group
        self._connection = connection
        self._drain_timeout_s = drain_timeout_s
        self._assigned = assigned
        self._flush = flush
        self._joining: asyncio.Task[None] | None = None
        self._join_error: str | None = None
        self.consumer: AIOKafkaConsumer | None = None
        self.unassigned_since: float | None = None
        self.busy = asyncio.Lock()

    def joined(self) -> AIOKafkaConsumer:
        """Return the group's client. Raises Transient when there is none."""
        if self.consumer is None:
            raise Transient("not a member of the group")
        return self.consumer

    async def join(self) -> None:
        """Join the group. Raises Transient when no broker answers."""
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            # An offset outside of the partition means lost messages or another topic. `positions.py` decides.
            auto_offset_reset="none",
            check_crcs=True,
            isolation_level="read_committed",
            fetch_max_wait_ms=500,
            fetch_min_bytes=1,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=int((self._drain_timeout_s + 10) * 1000),
            # Our own watchdog replaces the poll clock: a batch that waits through an outage is no dead consumer.
            max_poll_interval_ms=DAY_MS,
            metadata_max_age_ms=METADATA_MS,
            retry_backoff_ms=100,
            request_timeout_ms=40_000,
            **self._connection,
        )
        try:
            await begun(consumer.start())
        except BaseException as error:
            await stop_consumer(consumer)
            if isinstance(error, NO_ANSWER):
                raise Transient(f"Kafka does not answer: {error!r}") from error
            raise
        consumer.subscribe([self._topic], listener=self)
        self.consumer = consumer

    async def rejoin(self, wait_s: float) -> bool:
        """Whether we have joined again. Joining goes on in a task of its own: a silent broker may take long to fail."""
        if self._joining is None:
            self._joining = asyncio.ensure_future(self.join())
        await asyncio.wait([self._joining], timeout=wait_s)
        if not self._joining.done():
            return False
        joining, self._joining = self._joining, None
        error = Transient("joining was cancelled") if joining.cancelled() else joining.exception()
        self._join_error = None if error is None else str(error)
        if error is not None:
            raise error
        return True

    def note_unassigned(self) -> Sequence[Message]:
        """Return no messages. Raises Transient when the group takes longer than members may take to join."""
        if self.consumer is None and self._join_error is not None:
            raise Transient(self._join_error)
        now = asyncio.get_running_loop().time()
        self.unassigned_since = now if self.unassigned_since is None else self.unassigned_since
        unassigned_s = now - self.unassigned_since
        if unassigned_s > self._drain_timeout_s + UNASSIGNED_S:
            raise Transient(f"the group has not shared out the partitions of {self._topic} for {unassigned_s:.0f} s")
        return ()

    async def leave(self) -> None:
        """Leave the group, or stop joining it."""
        joining, self._joining = self._joining, None
        if joining is not None:
            joining.cancel()
            await asyncio.wait([joining])
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Keep the partitions until the current batch is planned and committed, or the time to drain is over.

        Then another member repeats the batch, and the inbox drops what was processed.
        """
        if revoked:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_timeout_s):
                    async with self.busy:
                        pass
                    await self._flush()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin at the committed offsets. What was processed behind them comes again, without effect."""
        self._assigned(assigned)

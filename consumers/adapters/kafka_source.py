"""A consumer group member on aiokafka. Every option is set here; the library's defaults lose or skip messages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from domain.alarms import ring
from domain.errors import Transient
from domain.ports.source import Message

LINGER_FROM: Final = 32
"""So many messages waiting mean load: a little patience makes the batch larger. A lone order never waits."""
STALLED_S: Final = 60
"""The broker has messages and we get none for so long: the library has lost its way, and is started anew."""
COMMIT_S: Final = 10
"""The library tries to commit for as long as the broker is away. Offsets that are not committed do no harm, while a
consumer that waits for them takes no turn, looks stalled, and cannot be stopped."""
POSITION_S: Final = 1
"""A position that is known is told at once; one that is not is asked of the broker for as long as that is away."""
CAREFUL_MS: Final = 1_000
UNREADABLE: Final = (("payments_note", b"a header's name is not UTF-8; the message lies on its topic still"),)
HOUR_MS: Final = 3_600_000


class KafkaSource:
    """domain.ports.source.Source. connection: aiokafka's options of place and security."""

    def __init__(
        self, topic: str, group: str, connection: Mapping[str, Any], *, linger_s: float, drain_timeout_s: float
    ) -> None:
        self._topic = topic
        self._group = group
        self._connection = connection
        self._linger_s = linger_s
        self._drain_timeout_s = drain_timeout_s
        self._consumer: AIOKafkaConsumer | None = None
        self._busy = asyncio.Lock()
        self._took_at = 0.0
        # By partition: how far to commit, and where the next record is.
        self._owed: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._log = structlog.get_logger("consumers.source").bind(topic=topic, group=group)

    async def start(self) -> None:
        """Join the group."""
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            check_crcs=True,
            isolation_level="read_committed",
            fetch_max_wait_ms=500,
            fetch_min_bytes=1,
            fetch_max_bytes=50 << 20,
            max_partition_fetch_bytes=4 << 20,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=int((self._drain_timeout_s + 10) * 1000),
            # Our own watchdog knows better than a poll clock: a batch that waits out an outage is no dead consumer.
            max_poll_interval_ms=24 * HOUR_MS,
            retry_backoff_ms=100,
            request_timeout_ms=40_000,
            **self._connection,
        )
        try:
            await consumer.start()
        except KafkaError as error:
            with suppress(KafkaError):
                await consumer.stop()
            raise Transient(f"Kafka does not answer: {error!r}") from error
        consumer.subscribe([self._topic], listener=_Draining(self._busy, self._drain_timeout_s, self._assigned_anew))
        self._consumer = consumer
        self._took_at = asyncio.get_running_loop().time()

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return what is there, across partitions."""
        if self._consumer is None:
            # It was being started anew when Kafka went away.
            await self.start()
        consumer = self._joined()
        try:
            records = await self._records(consumer, limit, wait_s)
        except UnicodeDecodeError:
            return await self._past_unreadable(consumer)
        except KafkaError as error:
            raise Transient(f"Kafka does not answer: {error!r}") from error
        if LINGER_FROM <= len(records) < limit:
            # The client has moved on behind the records that we have: they must be handed out, whatever happens now.
            with suppress(KafkaError, UnicodeDecodeError):
                records += await self._records(consumer, limit - len(records), self._linger_s)
        if not records:
            await self._while_idle(consumer)
        else:
            self._took_at = asyncio.get_running_loop().time()
        return self._handed_out(records)

    async def commit(self, messages: Sequence[Message]) -> None:
        """Commit the offsets behind these messages, for the partitions that are ours still."""
        ends = {m.partition: m.offset + 1 for m in messages}
        for partition, end in ends.items():
            self._owed[partition] = max(self._owed.get(partition, 0), end)
        await self._commit_owed(self._joined())

    async def _commit_owed(self, consumer: AIOKafkaConsumer) -> None:
        """Commit; what Kafka does not answer is kept for the next time, until the partitions are assigned anew."""
        ours = consumer.assignment()
        owed = {number: end for number, end in self._owed.items() if TopicPartition(self._topic, number) in ours}
        self._owed.clear()
        if not owed:
            return
        offsets = {TopicPartition(self._topic, number): end for number, end in owed.items()}
        try:
            async with asyncio.timeout(COMMIT_S):
                await consumer.commit(offsets)
        except TimeoutError as error:
            self._owed |= owed
            raise Transient(f"Kafka has not taken the offsets within {COMMIT_S} s") from error
        except KafkaError as error:
            raise Transient(f"Kafka does not take the offsets: {error!r}") from error

    @asynccontextmanager
    async def processing(self) -> AsyncIterator[None]:
        """Hold on to the partitions meanwhile."""
        async with self._busy:
            yield

    async def close(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            with suppress(KafkaError):
                await consumer.stop()

    def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Transient("not a member of the group")
        return self._consumer

    @staticmethod
    async def _records(consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Any]:
        by_partition = await consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit)
        return [record for records in by_partition.values() for record in records]

    def _handed_out(self, records: Sequence[Any]) -> list[Message]:
        self._next |= {r.partition: r.offset + 1 for r in records}
        return [Message(r.topic, r.partition, r.offset, r.key, r.value, r.headers, r.timestamp) for r in records]

    async def _past_unreadable(self, consumer: AIOKafkaConsumer) -> list[Message]:
        """Step past a record that the client cannot read, for a header's name is not UTF-8: one record a partition.

        The client has moved on behind records that it did not hand out, so each partition begins again behind what we
        have. The unreadable record is handed out without its contents: they lie on the topic still.
        """
        taken: list[Message] = []
        try:
            for partition in sorted(consumer.assignment()):
                await self._begin_again(consumer, partition)
                try:
                    found = await consumer.getmany(partition, timeout_ms=CAREFUL_MS, max_records=1)
                except UnicodeDecodeError:
                    offset = await consumer.position(partition)
                    consumer.seek(partition, offset + 1)
                    self._next[partition.partition] = offset + 1
                    taken.append(Message(partition.topic, partition.partition, offset, None, None, UNREADABLE, 0))
                else:
                    taken += self._handed_out([record for records in found.values() for record in records])
        except KafkaError as error:
            self._log.warning("Kafka went away at an unreadable record", error=repr(error))
        return taken

    async def _begin_again(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        behind = self._next.get(partition.partition)
        if behind is None:
            behind = await consumer.committed(partition)
        if behind is None:
            await consumer.seek_to_beginning(partition)
        else:
            consumer.seek(partition, behind)

    def _assigned_anew(self) -> None:
        """Forget positions: under another assignment they may be behind what others have committed."""
        self._owed.clear()
        self._next.clear()

    async def _while_idle(self, consumer: AIOKafkaConsumer) -> None:
        """Make up for a commit that failed, which no later one may follow; then look whether we are idle rightly."""
        if self._owed:
            with suppress(Transient):
                await self._commit_owed(consumer)
        await self._restart_if_stalled(consumer)

    async def _restart_if_stalled(self, consumer: AIOKafkaConsumer) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._took_at < STALLED_S:
            return
        self._took_at = now
        for partition in consumer.assignment():
            try:
                async with asyncio.timeout(POSITION_S):
                    position = await consumer.position(partition)
            except (KafkaError, TimeoutError):
                continue
            if (consumer.highwater(partition) or 0) > position:
                ring(self._log, "consumer_stalled", "restarting", partition=partition.partition)
                await self.close()
                await self.start()
                return


class _Draining(ConsumerRebalanceListener):  # type: ignore[misc]
    """Gives up partitions only once the batch in hand is planned and committed.

    assigned: called when there is another assignment.
    """

    def __init__(self, busy: asyncio.Lock, timeout_s: float, assigned: Callable[[], None]) -> None:
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
        del assigned
        self._assigned()

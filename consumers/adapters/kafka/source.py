"""A member of a consumer group as domain.ports.source.Source: what is there is handed out, and nothing is passed by."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.apart import Apart
from consumers.adapters.kafka.careful import CarefulReader
from consumers.adapters.kafka.closing import has_given_up, leave_group
from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.lanes import CALM_S, Lanes
from consumers.adapters.kafka.membership import join_group
from consumers.adapters.kafka.reading import Reading
from consumers.adapters.kafka.settling import Settling
from consumers.adapters.kafka.together import Rebalancing, seek, stop
from consumers.adapters.kafka.transactions import OpenTransactions
from consumers.adapters.kafka.unpacking import UNPACKED_BYTES_MAX, bound_unpacking
from consumers.adapters.kafka.wire import Wire
from domain.alarms import ring
from domain.errors import Transient
from domain.ports.source import Message, Stretch

UNSHARED_S: Final = 20
"""So much longer than its members may drain may a group take to share out its partitions."""


class KafkaSource:
    """domain.ports.source.Source. connection: aiokafka's options of place and security."""

    def __init__(
        self,
        topic: str,
        group: str,
        connection: Mapping[str, Any],
        *,
        linger_s: float,
        drain_timeout_s: float,
        unpacked_bytes_max: int = UNPACKED_BYTES_MAX,
    ) -> None:
        self._topic = topic
        self._group = group
        self._connection = connection
        self._drain_timeout_s = drain_timeout_s
        self._unpacked_bytes_max = unpacked_bytes_max
        self._log = structlog.get_logger("consumers.source").bind(topic=topic, group=group)
        self._consumer: AIOKafkaConsumer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._join_error: str | None = None
        self._unshared_since: float | None = None
        self._busy = asyncio.Lock()
        self._lanes = Lanes()
        self._commits = Commits()
        self._wire = Wire(topic, group, connection)
        self._apart = Apart(self._lanes, CarefulReader(self._wire), self._log)
        self._open = OpenTransactions(self._log)
        settling = Settling(topic, self._wire, self._lanes, self._commits, self._log)
        self._reading = Reading(self._lanes, self._apart, settling, linger_s)

    @property
    def topic_id(self) -> str:
        """Name the topic as last seen."""
        return self._lanes.topic_id

    async def start(self) -> None:
        """Join the group."""
        bound_unpacking(self._unpacked_bytes_max)
        self._consumer = await join_group(
            self._topic, self._group, self._connection, self._busy, self._drain_timeout_s, self._assigned
        )

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return what is there, across partitions; nothing while the group is sharing them out."""
        if self._consumer is None and not await self._has_joined_again(wait_s):
            return self._while_unshared()
        consumer = self._joined()
        try:
            taken = await self._reading.take(consumer, limit, wait_s, _now())
        except Rebalancing:
            return self._while_unshared()
        except Transient as error:
            if has_given_up(consumer):
                await self._drop(error)
            raise
        self._unshared_since = None
        if self._reading.lost is not None:
            self._ring_stalled(self._reading.lost.partition)
            await self.close()
        elif not taken:
            await self._while_idle(consumer)
        return taken

    async def commit(self, messages: Sequence[Message]) -> None:
        """Commit the offsets behind these messages, for the partitions that are ours still."""
        # By number first: there are thousands of messages and a dozen partitions.
        ends = {m.partition: m.offset + 1 for m in messages}
        self._commits.owe({TopicPartition(self._topic, number): end for number, end in ends.items()})
        await self._commits.send(self._joined(), self._lanes.topic_id)

    def hold(self, message: Message, seconds: float) -> None:
        """Stand still on this message's partition."""
        lane = self._lanes.of.get(TopicPartition(message.topic, message.partition))
        if lane is None or self._consumer is None:
            return
        lane.next = message.offset
        lane.waits_until = _now() + seconds
        stop(self._consumer, lane)
        seek(self._consumer, lane)
        self._lanes.look()

    def has_begun_anew(self) -> bool:
        """Whether reading began anew since this was asked last."""
        anew, self._lanes.anew = self._lanes.anew, False
        return anew

    def blocked(self) -> Sequence[Stretch]:
        """Name the stretches before which partitions stand still."""
        if self._lanes.quiet:
            return ()
        return [lane.stretch for lane in self._lanes.of.values() if lane.stretch and lane.next == lane.stretch.first]

    async def pass_over(self, stretch: Stretch, last: int) -> None:
        """Go on behind this offset, and commit that."""
        lane = self._lanes.of.get(TopicPartition(stretch.topic, stretch.partition))
        if lane is None or lane.stretch is None or lane.next != stretch.first:
            return
        lane.stretch, lane.rang_at, lane.waits_until = None, None, 0
        lane.next = last + 1
        lane.read_apart(_now() + CALM_S)
        self._commits.owe({lane.partition: lane.next})
        await self._commits.send(self._joined(), self._lanes.topic_id)

    @asynccontextmanager
    async def processing(self) -> AsyncIterator[None]:
        """Hold on to the partitions meanwhile."""
        async with self._busy:
            yield

    async def close(self) -> None:
        """Leave the group."""
        self._assigned(())
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.wait([starting])
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await leave_group(consumer)
        await self._wire.close()

    def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Transient("not a member of the group")
        return self._consumer

    async def _has_joined_again(self, wait_s: float) -> bool:
        """Join beside the reader, who takes his turns meanwhile: a broker that says nothing is waited for for long."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self.start())
        await asyncio.wait([self._starting], timeout=wait_s)
        if not self._starting.done():
            return False
        starting, self._starting = self._starting, None
        error = Transient("joining was broken off") if starting.cancelled() else starting.exception()
        self._join_error = None if error is None else str(error)
        if error is not None:
            raise error
        return True

    def _while_unshared(self) -> Sequence[Message]:
        """Return nothing; if that goes on for longer than members may take to join, Kafka is to blame."""
        if self._consumer is None and self._join_error is not None:
            raise Transient(self._join_error)
        now = _now()
        self._unshared_since = now if self._unshared_since is None else self._unshared_since
        unshared_s = now - self._unshared_since
        if unshared_s > self._drain_timeout_s + UNSHARED_S:
            raise Transient(f"the group has not shared out the partitions of {self._topic} for {unshared_s:.0f} s")
        return ()

    async def _drop(self, error: Exception) -> None:
        """Leave with a client that will never read again; the next take joins with a new one."""
        self._log.warning("the client has given up; joining the group anew", error=str(error))
        await self.close()

    def _ring_stalled(self, partition: TopicPartition) -> None:
        """Say that a client has lost its way, and another takes its place."""
        self._reading.lost = None
        topic, number = partition
        ring(self._log, "consumer_stalled", "restarting", topic=topic, partition=number)

    async def _while_idle(self, consumer: AIOKafkaConsumer) -> None:
        """Commit where we stand: behind markers of transactions, and what an earlier commit could not."""
        await self._reading.note_positions(consumer)
        stand = {lane.partition: lane.next for lane in self._lanes.of.values() if lane.next is not None}
        self._commits.owe(stand)
        ours = consumer.assignment()
        self._open.look(consumer, {partition: at for partition, at in stand.items() if partition in ours}, _now())
        with suppress(Transient):
            await self._commits.send(consumer, self._lanes.topic_id)

    def _assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Forget positions: under another assignment they may be behind what others have committed."""
        self._lanes.assign(partitions)
        self._commits.forget()
        self._reading.watch.forget()
        self._open.forget()
        self._apart.forget([p for p, lane in self._lanes.of.items() if lane.stretch is not None])
        if self._consumer is not None:
            for lane in self._lanes.of.values():
                if lane.is_stopped:
                    stop(self._consumer, lane)


def _now() -> float:
    return asyncio.get_running_loop().time()

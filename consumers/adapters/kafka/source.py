"""A member of a consumer group as domain.ports.source.Source. It hands out every message and skips none."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.adapters.kafka.careful import CarefulReader
from consumers.adapters.kafka.closing import check_alive, has_given_up
from consumers.adapters.kafka.commits import Commits
from consumers.adapters.kafka.committer import Committer
from consumers.adapters.kafka.group_reader import Rebalancing, pause, seek
from consumers.adapters.kafka.lane_reader import LaneReader
from consumers.adapters.kafka.lanes import CALM_S, Lanes, clock
from consumers.adapters.kafka.membership import Membership
from consumers.adapters.kafka.positions import Positions
from consumers.adapters.kafka.reading import Reading
from consumers.adapters.kafka.transactions import OpenTransactions
from consumers.adapters.kafka.unpacking import UNPACKED_BYTES_MAX, bound_unpacking
from consumers.adapters.kafka.wire import Wire
from domain.alarms import ring
from domain.errors import Transient
from domain.ports.source import Message, Stretch


class KafkaSource:
    """domain.ports.source.Source. connection: aiokafka's options for the brokers' address and security.

    on_joined: called when the group has shared out its partitions, even if none of them is ours.
    """

    def __init__(
        self,
        topic: str,
        group: str,
        connection: Mapping[str, Any],
        *,
        linger_s: float,
        drain_timeout_s: float,
        unpacked_bytes_max: int = UNPACKED_BYTES_MAX,
        on_joined: Callable[[], None] = lambda: None,
    ) -> None:
        self._topic = topic
        self._on_joined = on_joined
        self._unpacked_bytes_max = unpacked_bytes_max
        self._log = structlog.get_logger("consumers.source").bind(topic=topic, group=group)
        self._lanes = Lanes()
        self._commits = Commits()
        self._committer = Committer(self._commits, lambda: self._membership.consumer, self._log)
        self._membership = Membership(topic, group, connection, drain_timeout_s, self._assigned, self._committer.flush)
        self._wire = Wire(topic, group, connection)
        self._lane_reader = LaneReader(self._lanes, CarefulReader(self._wire), self._log)
        self._transactions = OpenTransactions(self._log)
        positions = Positions(topic, self._wire, self._lanes, self._commits, self._log)
        self._reading = Reading(self._lanes, self._lane_reader, positions, linger_s)

    @property
    def topic_id(self) -> str:
        """Return the topic's id as last seen."""
        return self._lanes.topic_id

    def begun(self, partition: int) -> int:
        """Count how often reading of this partition began anew."""
        return self._commits.begun(TopicPartition(self._topic, partition))

    async def start(self) -> None:
        """Join the group."""
        bound_unpacking(self._unpacked_bytes_max)
        await self._membership.join()

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return what is there, across partitions; nothing while the group assigns its partitions."""
        if self._membership.consumer is None and not await self._membership.rejoin(wait_s):
            return self._membership.note_unassigned()
        consumer = self._membership.joined()
        try:
            check_alive(consumer)
            taken = await self._reading.take(consumer, limit, wait_s, clock())
        except Rebalancing:
            return self._membership.note_unassigned()
        except Transient as error:
            if has_given_up(consumer):
                self._log.warning("the client has given up; joining the group anew", error=str(error))
                await self.close()
            raise
        self._membership.unassigned_since = None
        stalled, self._reading.stalled = self._reading.stalled, None
        if stalled is not None:
            topic, number = stalled.partition
            ring(self._log, "consumer_stalled", "restarting", topic=topic, partition=number)
            await self.close()
        elif not taken:
            await self._commit_positions(consumer)
        return taken

    def commit_soon(self, messages: Sequence[Message]) -> None:
        """Commit the offsets behind these messages beside the next take, for the partitions that are still ours."""
        # Partition numbers first: there are thousands of messages and a dozen partitions.
        ends = {m.partition: m.offset + 1 for m in messages}
        places = {TopicPartition(self._topic, number): end for number, end in ends.items()}
        done = {place: end for place, end in places.items() if self._was_handed_out(place, end)}
        self._commits.add(done, self._lanes.topic_id)
        if self._commits.are_pending:
            self._committer.commit_soon()

    def keep_back(self, first: Mapping[int, int]) -> None:
        """Read on, but commit nothing behind these offsets."""
        self._commits.keep_back({TopicPartition(self._topic, number): at for number, at in first.items()})

    def hold(self, message: Message, seconds: float) -> None:
        """Stop at this message: its partition hands out nothing for so many seconds."""
        lane = self._lanes.of.get(TopicPartition(message.topic, message.partition))
        consumer = self._membership.consumer
        if lane is None or consumer is None:
            return
        lane.next = message.offset
        lane.waits_until = clock() + seconds
        pause(consumer, lane)
        seek(consumer, lane)
        self._lanes.note_quiet()

    def has_begun_anew(self) -> bool:
        """Whether reading began anew since the last call."""
        anew, self._lanes.anew = self._lanes.anew, False
        return anew

    def blocked(self) -> Sequence[Stretch]:
        """Return the stretches at which partitions wait."""
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
        lane.read_apart(clock() + CALM_S)
        self._commits.add({lane.partition: lane.next}, self._lanes.topic_id)
        await self._commits.send(self._membership.joined())

    @asynccontextmanager
    async def processing(self) -> AsyncIterator[None]:
        """Keep the partitions until this is left."""
        async with self._membership.busy:
            yield

    async def close(self) -> None:
        """Leave the group, after a last commit."""
        try:
            await self._committer.close()
        finally:
            self._take_assignment(())
            await self._membership.leave()
            await self._wire.close()

    def _was_handed_out(self, partition: TopicPartition, end: int) -> bool:
        """Whether all before this offset was taken since reading began anew; else it may be that some comes again."""
        lane = self._lanes.of.get(partition)
        return lane is not None and lane.next is not None and end <= lane.next

    async def _commit_positions(self, consumer: AIOKafkaConsumer) -> None:
        """Commit our positions, also behind markers of transactions, and what an earlier commit did not send."""
        await self._reading.note_positions(consumer)
        positions = {lane.partition: lane.next for lane in self._lanes.of.values() if lane.next is not None}
        self._commits.add(positions, self._lanes.topic_id)
        ours = consumer.assignment()
        self._transactions.check(consumer, {p: offset for p, offset in positions.items() if p in ours}, clock())
        if self._commits.are_pending:
            with suppress(Transient):
                await self._commits.send(consumer)

    def _assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._take_assignment(partitions)
        self._on_joined()

    def _take_assignment(self, partitions: Collection[TopicPartition]) -> None:
        """Forget positions: since the last assignment others may have committed further ones."""
        self._lanes.assign(partitions)
        self._commits.forget()
        self._reading.watch.forget()
        self._transactions.forget()
        self._lane_reader.forget([p for p, lane in self._lanes.of.items() if lane.stretch is not None])
        if self._membership.consumer is not None:
            for lane in self._lanes.of.values():
                if lane.is_stopped:
                    pause(self._membership.consumer, lane)

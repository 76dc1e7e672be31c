"""One turn of reading: most partitions with the group's client, some over the wire; stuck partitions are noticed."""

from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer

from consumers.adapters.kafka.group_reader import GroupReader, resume, seek
from consumers.adapters.kafka.lane_reader import LaneReader
from consumers.adapters.kafka.lanes import Lane, Lanes
from consumers.adapters.kafka.positions import Positions
from consumers.adapters.kafka.watching import Watch, position_of
from domain.errors import Transient
from domain.ports.source import Message

LINGER_FROM: Final = 32
"""From so many messages on we wait a little for more: batches grow under load. A lone order never waits."""
APART_POLL_S: Final = 0.02
"""The longest wait for other partitions while one is read apart."""
APART_SHARE: Final = 4
"""A partition that is read apart fills at most a quarter of a batch."""
STALLS_MAX: Final = 3
STALLED_S: Final = 30
"""After so many stalls in a row, over so many seconds, the client must be replaced."""


class Reading:
    """Reads all partitions of this member. No message is lost, whatever is raised."""

    def __init__(self, lanes: Lanes, lane_reader: LaneReader, positions: Positions, linger_s: float) -> None:
        self._lanes = lanes
        self._lane_reader = lane_reader
        self._positions = positions
        self._linger_s = linger_s
        self._group_reader = GroupReader(lanes)
        self.watch = Watch()
        self.stalled: Lane | None = None
        """A partition that has messages, and the client gives none: the client must be replaced."""

    async def take(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float, now: float) -> list[Message]:
        """Return at most so many messages; wait so long for the first. Raises Transient."""
        if self._lanes.unplaced:
            await self._positions.find_all(consumer)
        await self._positions.check_topic(consumer, now)
        if self.watch.is_due(now):
            await self._send_stuck_apart(consumer, now)
        if self._lanes.quiet:
            taken = await self._take_of_group(consumer, limit, wait_s)
        else:
            taken = await self._take_apart(consumer, limit, wait_s, now)
        if len(taken) < limit:
            self.watch.note_emptied()
        return taken

    async def _take_of_group(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        taken = await self._group_reader.read(consumer, limit, wait_s)
        if LINGER_FROM <= len(taken) < limit:
            with suppress(Transient):
                taken += await self._group_reader.read(consumer, limit - len(taken), self._linger_s)
        return taken

    async def _take_apart(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float, now: float) -> list[Message]:
        """Read the others first, without waiting for those that are apart; then those."""
        self._resume_waiting(consumer, now)
        lanes = self._lanes.of.values()
        due = [lane for lane in lanes if lane.apart and lane.waits_until <= now and lane.next is not None]
        share = limit // APART_SHARE
        taken = await self._take_of_group(consumer, limit - share if due else limit, 0 if due else wait_s)
        silent: Transient | None = None
        for lane in due:
            if len(taken) >= limit or silent is not None:
                break
            try:
                taken += await self._read_apart(consumer, lane, max(1, min(share, limit - len(taken))), now)
            except Transient as error:
                silent = error
        self._lanes.note_quiet()
        if not taken and silent is not None:
            raise silent
        if not taken and due:
            taken = await self._group_reader.read(consumer, limit, min(wait_s, APART_POLL_S))
        return taken

    async def _read_apart(self, consumer: AIOKafkaConsumer, lane: Lane, limit: int, now: float) -> list[Message]:
        messages = await self._lane_reader.read(lane, limit, now)
        if messages is None:
            await self._positions.find_inside(consumer, lane, now)
            return []
        if not messages:
            lane.stalls = 0
        elif lane.stalls >= STALLS_MAX and now >= lane.stalled_at + STALLED_S:
            self.stalled = lane
        if not lane.apart:
            resume(consumer, lane)
        return messages

    def _resume_waiting(self, consumer: AIOKafkaConsumer, now: float) -> None:
        for lane in self._lanes.of.values():
            if not lane.apart and 0 < lane.waits_until <= now:
                lane.waits_until = 0
                resume(consumer, lane)
        self._lanes.note_quiet()

    async def _send_stuck_apart(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Read stuck partitions apart: that shows why they are stuck."""
        partitions = [lane.partition for lane in self._lanes.of_group() if lane.next is not None]
        for partition in await self.watch.find_stuck(consumer, partitions, now):
            lane = self._lanes.of.get(partition)
            if lane is not None and lane.next is not None:
                lane.stalls += 1
                lane.stalled_at = now if lane.stalls == 1 else lane.stalled_at
                seek(consumer, lane)
                self._group_reader.send_apart(consumer, lane, lane.next - 1)

    async def note_positions(self, consumer: AIOKafkaConsumer) -> None:
        """Note the client's positions when it gives nothing: they move behind markers of transactions."""
        ours = consumer.assignment()
        for lane in self._lanes.of_group():
            if lane.next is not None and lane.partition in ours:
                lane.next = max(lane.next, await position_of(consumer, lane.partition) or 0)

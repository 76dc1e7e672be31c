"""One turn of reading: all partitions together, those apart by themselves, and a look for such as stand still."""

from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer

from consumers.adapters.kafka.apart import Apart
from consumers.adapters.kafka.lanes import Lane, Lanes
from consumers.adapters.kafka.settling import Settling
from consumers.adapters.kafka.together import Together, go_on, seek
from consumers.adapters.kafka.watching import Watch, position_of
from domain.errors import Transient
from domain.ports.source import Message

LINGER_FROM: Final = 32
"""So many messages waiting mean load: a little patience makes the batch larger. A lone order never waits."""
APART_POLL_S: Final = 0.02
"""While a partition is read apart, the others are waited for in short turns."""
APART_SHARE: Final = 4
"""A partition that is read apart gets this part of a batch at the most."""
STALLS_MAX: Final = 3
STALLED_S: Final = 30
"""So often in a row, and for so long, the client may give nothing of what is there; then it has lost its way."""


class Reading:
    """Reads with a client of the group; nothing that was taken is lost, whatever is raised."""

    def __init__(self, lanes: Lanes, apart: Apart, settling: Settling, linger_s: float) -> None:
        self._lanes = lanes
        self._apart = apart
        self._settling = settling
        self._linger_s = linger_s
        self._together = Together(lanes)
        self.watch = Watch()
        self.lost: Lane | None = None
        """A partition of which the client gives nothing, though there is something: it should be started anew."""

    async def take(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float, now: float) -> list[Message]:
        """Return what is there, at most so many; wait so long for the first. Raises Transient."""
        if self._lanes.unsettled:
            await self._settling.settle(consumer)
        await self._settling.look_at_topic(consumer, now)
        if self.watch.is_due(now):
            await self._look_for_stuck(consumer, now)
        if self._lanes.quiet:
            taken = await self._take_together(consumer, limit, wait_s)
        else:
            taken = await self._take_apart(consumer, limit, wait_s, now)
        if len(taken) < limit:
            self.watch.emptied()
        return taken

    async def _take_together(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float) -> list[Message]:
        taken = await self._together.read(consumer, limit, wait_s)
        if LINGER_FROM <= len(taken) < limit:
            with suppress(Transient):
                taken += await self._together.read(consumer, limit - len(taken), self._linger_s)
        return taken

    async def _take_apart(self, consumer: AIOKafkaConsumer, limit: int, wait_s: float, now: float) -> list[Message]:
        """Read while some partitions are read apart, or wait: the others first, and without waiting for these."""
        self._end_holds(consumer, now)
        due = [
            lane for lane in self._lanes.of.values() if lane.apart and lane.waits_until <= now and lane.next is not None
        ]
        share = limit // APART_SHARE
        taken = await self._take_together(consumer, limit - share if due else limit, 0 if due else wait_s)
        silent: Transient | None = None
        for lane in due:
            if len(taken) >= limit or silent is not None:
                break
            try:
                taken += await self._read_apart(consumer, lane, max(1, min(share, limit - len(taken))), now)
            except Transient as error:
                silent = error
        self._lanes.look()
        if not taken and silent is not None:
            raise silent
        if not taken and due:
            taken = await self._together.read(consumer, limit, min(wait_s, APART_POLL_S))
        return taken

    async def _read_apart(self, consumer: AIOKafkaConsumer, lane: Lane, limit: int, now: float) -> list[Message]:
        messages = await self._apart.read(lane, limit, now)
        if messages is None:
            await self._settling.go_inside(consumer, lane, now)
            return []
        if not messages:
            lane.stalls = 0
        elif lane.stalls >= STALLS_MAX and now >= lane.stalled_at + STALLED_S:
            self.lost = lane
        if not lane.apart:
            go_on(consumer, lane)
        return messages

    def _end_holds(self, consumer: AIOKafkaConsumer, now: float) -> None:
        for lane in self._lanes.of.values():
            if not lane.apart and 0 < lane.waits_until <= now:
                lane.waits_until = 0
                go_on(consumer, lane)
        self._lanes.look()

    async def _look_for_stuck(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Have partitions that stand still, though they should not, read apart: that shows why."""
        together = [lane.partition for lane in self._lanes.together() if lane.next is not None]
        for partition in await self.watch.stuck(consumer, together, now):
            lane = self._lanes.of.get(partition)
            if lane is not None and lane.next is not None:
                lane.stalls += 1
                lane.stalled_at = now if lane.stalls == 1 else lane.stalled_at
                seek(consumer, lane)
                self._together.send_apart(consumer, lane, lane.next - 1)

    async def note_positions(self, consumer: AIOKafkaConsumer) -> None:
        """Take down where the client stands when it gives nothing: behind markers of transactions, at the end."""
        ours = consumer.assignment()
        for lane in self._lanes.together():
            if lane.next is not None and lane.partition in ours:
                lane.next = max(lane.next, await position_of(consumer, lane.partition) or 0)

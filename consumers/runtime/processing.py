"""Processing one batch: read it, plan it, submit what it opened, and commit the offsets of what is done."""

import asyncio
from collections.abc import Sequence

import structlog

from consumers.runtime.ahead import Ahead
from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Guard
from consumers.runtime.locks import RETRY_S, Detour, LockWatch
from consumers.runtime.passing import Passing
from consumers.runtime.performing import OperationPerformer
from consumers.runtime.planning import Planner
from consumers.runtime.reading import Read, Reader, Reading, order_of, place_of
from domain.errors import Transient
from domain.ports.source import Message, Source
from domain.reaction import Reaction


class BatchProcessor:
    """Processes the batches of one reaction."""

    def __init__(
        self,
        reaction: Reaction,
        source: Source,
        reader: Reader,
        planner: Planner,
        passing: Passing,
        performer: OperationPerformer,
        guard: Guard,
        watch: LockWatch,
    ) -> None:
        self._name = reaction.name
        self._source = source
        self._reader = reader
        self._planner = planner
        self._passing = passing
        self._performer = performer
        self._guard = guard
        self._detour = Detour(watch, order_of)
        self._ahead = Ahead()
        self._log = structlog.get_logger("consumers.runner").bind(reaction=reaction.name)

    async def process(self, messages: Sequence[Message], stop: asyncio.Event) -> None:
        """Process a batch. Raises Stopped when stop is set during an outage; the batch then comes again."""
        fresh = self._ahead.fresh(messages)

        async def read(_: bool) -> Reading:  # noqa: FBT001 - as the guard calls
            return self._reader.read(fresh)

        async def plan(piece: Sequence[Read]) -> None:
            opened = await self._guard.transact(
                self._name,
                lambda contended: self._detour.run(
                    piece, or_cut(piece, self._planner.plan(piece, contended=contended))
                ),
                stop,
            )
            # From here on a redelivered message is a duplicate. The operation row is what must be finished.
            self._performer.submit(opened)

        async def quarantine(read: Read, error: Exception) -> None:
            await self._guard.transact(
                self._name, lambda _: self._detour.run([read], self._planner.quarantine(read, error)), stop
            )

        reading = await self._guard.transact(self._name, read, stop)
        waiting = await self._detour.work(reading.read, plan, quarantine) if reading.read else ()
        done = self._stand_still(messages, reading, waiting) if waiting or self._ahead else reading.done
        still = {place_of(read)[0] for read in waiting} if waiting else ()
        for held in reading.held:
            if held.message.partition in still:
                continue
            if await self._passing.pass_if_asked(held, self._source, stop):
                done = [*done, held.message]
                self._take_again_behind(held.message, messages)
            else:
                self._source.hold(held.message, held.seconds)
        try:
            await self._source.commit(done)
        except Transient as error:
            self._log.warning("offsets not committed; the messages come again, without effect", error=str(error))

    def _stand_still(self, messages: Sequence[Message], reading: Reading, waiting: Sequence[Read]) -> Sequence[Message]:
        """Hold partitions at messages that wait for a row; return the messages whose offsets may be committed.

        Messages behind them in this batch are done, too. They come again, because their offsets are not committed.
        """
        places = {place_of(read) for read in waiting}
        first: dict[int, int] = {}
        for partition, offset in places:
            first[partition] = min(offset, first.get(partition, offset))
        for message in reading.done:
            if first.get(message.partition) == message.offset:
                self._source.hold(message, RETRY_S)
        self._ahead.note(reading.done, first, places)
        stops = {held.message.partition: held.message.offset for held in reading.held} | first
        return [m for m in messages if m.offset < stops.get(m.partition, m.offset + 1)]

    def _take_again_behind(self, message: Message, messages: Sequence[Message]) -> None:
        """Take the following messages of the partition again: they were not read."""
        behind = (m for m in messages if m.partition == message.partition and m.offset > message.offset)
        if (first := next(behind, None)) is not None:
            self._source.hold(first, 0)

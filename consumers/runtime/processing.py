"""Processing one batch: read it, plan it, submit what it opened, and have the offsets of what is done committed."""

import asyncio
from collections.abc import Sequence

import structlog

from consumers.runtime.cutting import or_cut
from consumers.runtime.edges import Edges
from consumers.runtime.guard import Guard
from consumers.runtime.kept import Kept
from consumers.runtime.locks import Detour, LockWatch
from consumers.runtime.passing import Passing
from consumers.runtime.planning import Planner
from consumers.runtime.reading import Read, Reader, Reading, order_of
from domain.operation import INVENTORY_KINDS
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
        edges: Edges,
        guard: Guard,
        watch: LockWatch,
    ) -> None:
        self._name = reaction.name
        self._source = source
        self._reader = reader
        self._planner = planner
        self._passing = passing
        self._edges = edges
        self._guard = guard
        self._detour = Detour(watch, order_of, lambda _: bool(reaction.calls & INVENTORY_KINDS))
        self._kept = Kept(source.begun)
        self._log = structlog.get_logger("consumers.runner").bind(reaction=reaction.name)

    @property
    def is_full(self) -> bool:
        """Whether so many messages wait for rows that no more should be taken."""
        return self._kept.is_full

    @property
    def is_due(self) -> bool:
        """Whether messages that wait for a row should be tried again."""
        return self._kept.is_due(_now())

    async def process(self, messages: Sequence[Message], room: int, stop: asyncio.Event) -> None:
        """Process a batch, and again at most so many messages as there is room for of those that wait for a row.

        Raises Stopped when stop is set during an outage; the batch then comes again.
        """

        async def read(_: bool) -> Reading:  # noqa: FBT001 - as the guard calls
            return self._reader.read(messages)

        async def plan(piece: Sequence[Read]) -> None:
            opened = await self._guard.transact(
                self._name,
                lambda contended: self._detour.run(
                    piece, or_cut(piece, self._planner.plan(piece, contended=contended))
                ),
                stop,
            )
            # From here on a redelivered message is a duplicate. The operation row is what must be finished.
            self._edges.submit(opened)

        async def quarantine(read: Read, error: Exception) -> None:
            await self._guard.transact(
                self._name, lambda _: self._detour.run([read], self._planner.quarantine(read, error)), stop
            )

        reading = await self._guard.transact(self._name, read, stop)
        reads, done = reading.read, reading.done
        if self._kept:
            self._kept.forget()
            if self._kept.is_due(_now()):
                again = self._kept.take(room, _now())
                self._kept.keep(await self._detour.work(again, plan, quarantine), _now())
            reads = self._kept.without_waiting(reads)
            self._source.keep_back(self._kept.first())
        if reads and (waiting := await self._detour.work(reads, plan, quarantine)):
            self._kept.keep(waiting, _now())
            self._source.keep_back(self._kept.first())
        for held in reading.held:
            if await self._passing.pass_if_asked(held, self._source, stop):
                done = [*done, held.message]
                self._take_again_behind(held.message, messages)
            else:
                self._source.hold(held.message, held.seconds)
        self._source.commit_soon(done)

    def _take_again_behind(self, message: Message, messages: Sequence[Message]) -> None:
        """Take the following messages of the partition again: they were not read."""
        behind = (m for m in messages if m.partition == message.partition and m.offset > message.offset)
        if (first := next(behind, None)) is not None:
            self._source.hold(first, 0)


def _now() -> float:
    return asyncio.get_running_loop().time()

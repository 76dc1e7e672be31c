"""One consumer: takes batches, plans them, commits their offsets, and hands on the operations."""

import asyncio
from collections.abc import Sequence

import structlog

from consumers.runtime.acting import Actor
from consumers.runtime.ahead import Ahead
from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Breaker, Guard, Stopped
from consumers.runtime.locks import RETRY_S, Detour, LockWatch
from consumers.runtime.passing import Passing
from consumers.runtime.planning import Planner
from consumers.runtime.ports import Bounds
from consumers.runtime.reading import Read, Reader, Reading, order_of, place_of
from domain.alarms import Lasting
from domain.errors import Transient
from domain.operation import GATEWAY_KINDS
from domain.ports.source import Message, Source
from domain.reaction import Reaction


class Runner:
    """Runs one reaction over one source until told to stop."""

    def __init__(
        self,
        reaction: Reaction,
        source: Source,
        reader: Reader,
        planner: Planner,
        passing: Passing,
        actor: Actor,
        guard: Guard,
        breaker: Breaker,
        bounds: Bounds,
        watch: LockWatch,
    ) -> None:
        self._name = reaction.name
        self._source = source
        self._reader = reader
        self._planner = planner
        self._passing = passing
        self._actor = actor
        self._guard = guard
        self._breaker = breaker
        self._bounds = bounds
        self._detour = Detour(watch, order_of)
        self._ahead = Ahead()
        self._asks_gateway = bool(reaction.calls & GATEWAY_KINDS)
        self._log = structlog.get_logger("consumers.runner").bind(reaction=reaction.name)
        self._kafka = Lasting(self._log, "kafka_down")

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until told to stop; then the batch in hand is finished and the group is left."""
        if not await self._join(stop):
            return
        try:
            while not stop.is_set():
                self._guard.turn(self._name)
                if await self._must_wait(stop):
                    continue
                messages = await self._take()
                if messages:
                    async with self._source.processing():
                        await self._process(messages, stop)
                await self._let_go_on(stop)
        except Stopped:
            self._log.warning("stopped while waiting; the batch in hand comes again, to whoever reads next")
        finally:
            self._guard.done(self._name)
            await self._source.close()

    async def _join(self, stop: asyncio.Event) -> bool:
        failures = 0
        while not stop.is_set():
            self._guard.turn(self._name)
            try:
                joined = await self._start(stop)
            except Transient as error:
                failures += 1
                self._kafka.again(asyncio.get_running_loop().time(), "waiting", error=str(error))
                await self._pause(stop, min(0.1 * 2 ** min(failures, 10), self._bounds.outage_backoff_max_s))
            else:
                if joined:
                    self._kafka.end(asyncio.get_running_loop().time(), "going on")
                return joined
        return False

    async def _start(self, stop: asyncio.Event) -> bool:
        """Join the group, unless told to stop before that: a broker that says nothing is waited for for long."""
        starting = asyncio.ensure_future(self._source.start())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
        if starting.cancelled() and stop.is_set():
            return False
        if starting.cancelled():
            raise Transient("joining was broken off")
        starting.result()
        return True

    async def _must_wait(self, stop: asyncio.Event) -> bool:
        """Pause while the gateway is down for everybody or too many operations are open. Partitions are kept."""
        if self._asks_gateway and self._breaker.is_open:
            await self._pause(stop, self._bounds.poll_s, self._breaker.closed())
            return True
        if self._asks_gateway and self._actor.open_count >= self._bounds.operations_open_max:
            await self._pause(stop, self._bounds.poll_s, self._actor.room())
            return True
        return False

    async def _take(self) -> Sequence[Message]:
        limit = self._bounds.batch_max
        if self._asks_gateway:
            limit = self._breaker.room(limit)
        try:
            messages = await self._source.take(limit, self._bounds.poll_s)
        except Transient as error:
            self._kafka.again(asyncio.get_running_loop().time(), "waiting", error=str(error))
            await asyncio.sleep(self._bounds.poll_s)
            return ()
        self._kafka.end(asyncio.get_running_loop().time(), "going on")
        return messages

    async def _process(self, messages: Sequence[Message], stop: asyncio.Event) -> None:
        fresh = self._ahead.fresh(messages)

        async def read(_: bool) -> Reading:  # noqa: FBT001 - the guard's signature
            return self._reader.read(fresh)

        async def plan(piece: Sequence[Read]) -> None:
            opened = await self._guard.transact(
                self._name,
                lambda contended: self._detour.guarded(
                    piece, or_cut(piece, self._planner.plan(piece, contended=contended))
                ),
                stop,
            )
            # From here a redelivered message is a duplicate: the operation row is what must be finished.
            self._actor.submit(opened)

        async def quarantine(read: Read, error: Exception) -> None:
            await self._guard.transact(
                self._name, lambda _: self._detour.guarded([read], self._planner.quarantine(read, error)), stop
            )

        reading = await self._guard.transact(self._name, read, stop)
        waiting = await self._detour.work(reading.read, plan, quarantine) if reading.read else ()
        done = self._stand_still(messages, reading, waiting) if waiting or self._ahead else reading.done
        still = {place_of(read)[0] for read in waiting} if waiting else ()
        for held in reading.held:
            if held.message.partition in still:
                continue
            if await self._passing.is_passed(held, self._source, stop):
                done = [*done, held.message]
                self._take_again_behind(held.message, messages)
            else:
                self._source.hold(held.message, held.seconds)
        try:
            await self._source.commit(done)
        except Transient as error:
            self._log.warning("offsets not committed; the messages come again, without effect", error=str(error))

    def _stand_still(self, messages: Sequence[Message], reading: Reading, waiting: Sequence[Read]) -> Sequence[Message]:
        """Stand still before messages that wait for a row; return what is done before them.

        What lies behind in this batch is done, too, and comes again: its offsets are not committed.
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
        """Have what follows on the partition come again: it was not read."""
        behind = (m for m in messages if m.partition == message.partition and m.offset > message.offset)
        if (first := next(behind, None)) is not None:
            self._source.hold(first, 0)

    async def _let_go_on(self, stop: asyncio.Event) -> None:
        """Pass over what an operator says, or what is lost."""
        try:
            await self._passing.let_go_on(self._source, stop)
        except Transient as error:
            self._log.warning("the offset behind a stretch is not committed", error=str(error))

    async def _pause(self, stop: asyncio.Event, seconds: float, until: object = None) -> None:
        """Wait for the first of: told to stop, what is waited for, the time."""
        waits = [asyncio.ensure_future(stop.wait())]
        if asyncio.iscoroutine(until):
            waits.append(asyncio.ensure_future(until))
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

"""One consumer: joins its group, takes batches and has them processed, until stop is set."""

import asyncio
from collections.abc import Sequence

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.edges import Edges
from consumers.runtime.guard import Guard, Stopped
from consumers.runtime.pace import HeldBack, Pace
from consumers.runtime.passing import Passing
from consumers.runtime.processing import BatchProcessor
from consumers.runtime.waiting import pause
from domain.alarms import Lasting
from domain.backoff import outage_backoff_s
from domain.errors import Transient
from domain.ports.metering import RunMeter, Unmetered
from domain.ports.source import Message, Source
from domain.reaction import Reaction


class Runner:
    """Runs one reaction over one source."""

    def __init__(
        self,
        reaction: Reaction,
        source: Source,
        processor: BatchProcessor,
        passing: Passing,
        edges: Edges,
        guard: Guard,
        bounds: Bounds,
        meter: RunMeter | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._name = reaction.name
        self._begins = reaction.begins
        self._pace = pace or Pace(bounds.late_s)
        self._taken = 0
        self._meter = meter or Unmetered()
        self._source = source
        self._processor = processor
        self._passing = passing
        self._guard = guard
        self._bounds = bounds
        self._edges = edges.of(reaction.calls)
        self._log = structlog.get_logger("consumers.runner").bind(reaction=reaction.name)
        self._kafka = Lasting(self._log, "kafka_down")
        self._held_back = HeldBack(self._meter, self._log)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until stop is set; then finish the current batch and leave the group."""
        if not await self._join(stop):
            return
        try:
            while not stop.is_set():
                self._guard.turn(self._name)
                if await self._must_wait(stop):
                    self._pace.note_idle(self._name)
                    continue
                if self._begins:
                    await self._wait_for_others(stop)
                messages = await self._take()
                self._taken = len(messages)
                if messages:
                    self._meter.taken(self._name, len(messages))
                else:
                    self._pace.note_idle(self._name)
                if messages or self._processor.is_due:
                    async with self._source.processing():
                        await self._processor.process(messages, self._room(), stop)
                await self._let_go_on(stop)
        except Stopped:
            self._log.warning("stopped while waiting; the batch in hand comes again, to whoever reads next")
        finally:
            self._guard.done(self._name)
            await self._source.close()

    async def _join(self, stop: asyncio.Event) -> bool:
        """Join the group, through outages of Kafka; False: stop was set before that."""
        failures = 0
        while not stop.is_set():
            self._guard.turn(self._name)
            try:
                joined = await self._start(stop)
            except Transient as error:
                failures += 1
                self._kafka.again(_now(), "waiting", error=str(error))
                await pause(stop, outage_backoff_s(failures, self._bounds.outage_backoff_max_s))
            else:
                if joined:
                    self._kafka.end(_now(), "going on")
                return joined
        return False

    async def _start(self, stop: asyncio.Event) -> bool:
        """Join the group; False: stop was set before that. A silent broker may keep us waiting for long."""
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
        """Pause while one that it calls is down for everybody, or has too many operations open. Partitions are kept."""
        for edge in self._edges:
            if edge.breaker.is_open:
                await pause(stop, self._bounds.poll_s, edge.breaker.wait_until_closed())
                return True
            if len(edge.performer.open) >= self._bounds.operations_open_max:
                await pause(stop, self._bounds.poll_s, edge.performer.open.wait_for_room())
                return True
        return False

    async def _wait_for_others(self, stop: asyncio.Event) -> None:
        """Leave new orders with Kafka for a while, if orders that are under way are late."""
        began, most_s = _now(), self._wait_s()
        if not self._pace.is_late:
            self._held_back.note_in_time(began)
        elif most_s > 0:
            self._held_back.begin(began, self._pace.late)
            await pause(stop, most_s, self._pace.wait_until_in_time())
            self._held_back.add(_now(), _now() - began)

    async def _take(self) -> Sequence[Message]:
        if self._processor.is_full:
            await asyncio.sleep(self._bounds.poll_s)
            return ()
        room = self._room()
        if room == 0:
            return ()  # the last place was taken while this consumer waited for others
        try:
            messages = await self._source.take(room, self._bounds.poll_s)
        except Transient as error:
            self._kafka.again(_now(), "waiting", error=str(error))
            await asyncio.sleep(self._bounds.poll_s)
            return ()
        self._kafka.end(_now(), "going on")
        return messages

    def _wait_s(self) -> float:
        """Return how long new orders wait at most while others are late: as long as the last ones were many.

        A wait of its own for each batch would begin some orders in five seconds where batches are small, be it by the
        settings or since the messages are large; and it would hold up single orders, which are no backlog.
        """
        return min(self._bounds.late_wait_max_s, self._taken / self._bounds.late_begin_per_s)

    def _room(self) -> int:
        """Return how many messages may be worked on at once."""
        return min([self._bounds.batch_max, *(edge.breaker.room(self._bounds.batch_max) for edge in self._edges)])

    async def _let_go_on(self, stop: asyncio.Event) -> None:
        """Pass over what an operator names, or what is lost."""
        try:
            await self._passing.let_go_on(self._source, stop)
        except Transient as error:
            self._log.warning("the offset behind a stretch is not committed", error=str(error))


def _now() -> float:
    return asyncio.get_running_loop().time()

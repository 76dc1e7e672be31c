"""Everything that runs in one consumer process: how it is put together, started, watched and drained."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from consumers.runtime.answers import Answers
from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from consumers.runtime.edges import Edge, Edges
from consumers.runtime.guard import Guard
from consumers.runtime.letters import Letters
from consumers.runtime.locks import LockWatch
from consumers.runtime.pace import Pace
from consumers.runtime.passing import Passing
from consumers.runtime.performing import OperationPerformer
from consumers.runtime.planning import Planner
from consumers.runtime.ports import Ports
from consumers.runtime.processing import BatchProcessor
from consumers.runtime.reading import Reader
from consumers.runtime.runner import Runner
from consumers.runtime.settling import Settler
from consumers.runtime.sweep.run import Sweep
from consumers.runtime.upkeep import Upkeep
from domain.errors import Transient
from domain.operating import gateway_call
from domain.operation import GATEWAY_KINDS, INVENTORY_KINDS, GatewayCall
from domain.ports.source import Source
from domain.ports.store import Claimed
from domain.reaction import Reaction
from domain.rules import Rules
from domain.stock_calls import StockCall, stock_call

SETTLERS: Final = 2
"""While one waits for the database, the other takes its batch."""

GIVE_BACK_S: Final = 5

MakeSource = Callable[[Reaction], Source]


class Engine:
    """reactions: all of them by name, for settling; a process may run the consumers of only some."""

    def __init__(self, ports: Ports, reactions: Mapping[str, Reaction], rules: Rules, bounds: Bounds) -> None:
        self.ports = ports
        self._reactions = reactions
        self._rules = rules
        self._bounds = bounds
        self.guard = Guard(bounds)
        self.breaker = Breaker(bounds)
        self.answers = Answers()
        self.performer = OperationPerformer(
            ports.gateway, _gateway_call, ports.store, rules, bounds, self.breaker, self.answers.put
        )
        self.edges = Edges([Edge(GATEWAY_KINDS, self.performer, self.breaker), *self._inventory_elsewhere()])
        self._watch = LockWatch(ports.store)
        self._pace = Pace(bounds.late_s)
        self.settler = Settler(
            ports, reactions, rules, bounds, self.guard, self.answers, self.edges.submit, self._watch
        )
        self.upkeep = Upkeep(ports.store)
        self.sweep = Sweep(ports, reactions, rules, bounds, self.guard, self.edges, self.settler, self._watch)
        self._log = structlog.get_logger("consumers.engine")

    async def run(
        self,
        stop: asyncio.Event,
        consume: Sequence[Reaction],
        make_source: MakeSource,
        *,
        sweep: bool,
        also: Sequence[Coroutine[Any, Any, None]] = (),
    ) -> None:
        """Run until stop is set, then drain: finish batches and calls, or give their leases back.

        also: other work of the process (a relay) that ends on the same event. Raises what a loop raised: a bug.
        """
        working = [self._runner(reaction, make_source(reaction)).run(stop) for reaction in consume]
        working += also
        if sweep:
            working += [self.sweep.run(stop), self.upkeep.run(stop)]
        async with asyncio.TaskGroup() as background:
            serving = self._serve(background, patient=True)
            serving.append(background.create_task(self.guard.watch()))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in working]
                ending = background.create_task(self._end_late(stop, tasks))
            ending.cancel()
            await self._drain()
            for task in serving:
                task.cancel()

    async def once(self) -> int:
        """Sweep what is due and end; return the number of operations. Raises Transient during an outage."""
        async with asyncio.TaskGroup() as background:
            serving = self._serve(background, patient=False)
            await self.upkeep.turn()
            swept = await self.sweep.once()
            for task in serving:
                task.cancel()
        return swept

    def _serve(self, group: asyncio.TaskGroup, *, patient: bool) -> list["asyncio.Task[None]"]:
        """Start what works for all loops of the process."""
        settling = [self.settler.run(f"settler-{n}", patient=patient) for n in range(SETTLERS)]
        return [group.create_task(work) for work in (*settling, self.edges.watch())]

    def _runner(self, reaction: Reaction, source: Source) -> Runner:
        letters = Letters(reaction.group, reaction.trigger.TYPE, self.ports.mask)
        reader = Reader(reaction, self.ports.decode, letters, self.ports.tracer)
        recorded = self.sweep.look_for_messages
        planner = Planner(reaction, self._reactions, self.ports, self._rules, self._bounds, recorded, self._pace)
        passing = Passing(reaction, self.ports.store, letters, self.guard)
        processor = BatchProcessor(reaction, source, reader, planner, passing, self.edges, self.guard, self._watch)
        meter = self.ports.meter
        return Runner(reaction, source, processor, passing, self.edges, self.guard, self._bounds, meter, self._pace)

    def _inventory_elsewhere(self) -> Sequence[Edge]:
        """Return the edge of an inventory elsewhere. It fails, and is paused, without the gateway."""
        remote = self.ports.remote
        assert (self.ports.inventory is None) is self._rules.inventory_elsewhere
        if remote is None:
            return ()
        bounds = replace(self._bounds, call_max_s=self._bounds.stock_call_max_s)
        breaker = Breaker(bounds, "inventory")
        performer = OperationPerformer(
            remote, _stock_call, self.ports.store, self._rules, bounds, breaker, self.answers.put
        )
        return [Edge(INVENTORY_KINDS, performer, breaker)]

    async def _end_late(self, stop: asyncio.Event, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Cancel what has not ended in time: a frozen database would hold it up until the process is killed.

        A cancelled batch is like one of a killed process: it comes again, without effect.
        """
        await stop.wait()
        await asyncio.sleep(self._bounds.drain_timeout_s)
        for task in tasks:
            if not task.done():
                self._log.warning("not ended in time; broken off")
                task.cancel()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._bounds.drain_timeout_s):
                await self.sweep.at_rest()
        except TimeoutError:
            self._log.warning("drain deadline over; leases given back", operations=self.edges.open)
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                await self.edges.give_up()
                await self.settler.give_up()
        except (TimeoutError, Transient):
            self._log.warning("leases not given back; they run out by themselves")


def _gateway_call(claimed: Claimed) -> GatewayCall:
    return gateway_call(claimed.operation, claimed.token)


def _stock_call(claimed: Claimed) -> StockCall:
    return stock_call(claimed.operation)

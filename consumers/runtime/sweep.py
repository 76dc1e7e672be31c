"""The sweep: due and unknown operations, lapsed leases, holds that ran out, orders that nobody works on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog

from consumers.runtime.acting import IDS_MAX, Actor
from consumers.runtime.cutting import or_cut
from consumers.runtime.guard import Breaker, Guard, Stopped
from consumers.runtime.locks import Detour, LockWatch
from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.settling import Settler
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
from domain.errors import Busy, TooMuch, Transient
from domain.goods import expire_hold
from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from domain.order import Order
from domain.ports.inventory import InventoryCall
from domain.reaction import Reaction
from domain.rules import Rules
from domain.settling import tell_delay
from domain.stuck import revive

CLAIM_MAX: Final = 500
DELAYS_EVERY_S: Final = 10
STUCK_EVERY_S: Final = 60
HOLDS, DELAYS, STUCK, CLAIMS = "sweep holds", "sweep delays", "sweep stuck", "sweep claims"
"""What the jobs are called in the log."""

T = TypeVar("T")
Job = Callable[[asyncio.Event | None], Awaitable[int]]
"""Looks once for its kind of work and does it; gives the number of operations begun."""


class Sweep:
    """Any number of processes may sweep: what one takes, the others skip."""

    def __init__(
        self,
        ports: Ports,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        bounds: Bounds,
        guard: Guard,
        breaker: Breaker,
        actor: Actor,
        settler: Settler,
        watch: LockWatch,
    ) -> None:
        self._ports = ports
        self._reactions = reactions
        self._rules = rules
        self._bounds = bounds
        self._guard = guard
        self._breaker = breaker
        self._actor = actor
        self._settler = settler
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)
        self._detours: dict[str, Detour[OrderId]] = {
            name: Detour(watch, lambda order_id: order_id) for name in (HOLDS, DELAYS, STUCK)
        }
        self._next: dict[str, float] = {}
        self._most: dict[str, int] = {}
        self._jobs: dict[str, Job] = {
            HOLDS: self._holds,
            DELAYS: self._delays,
            STUCK: self._stuck,
            CLAIMS: self._claims,
        }
        self._log = structlog.get_logger("consumers.sweep")

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop: each job by itself, so that none waits for one that is slow or cannot be done."""
        async with asyncio.TaskGroup() as group:
            for name, job in self._jobs.items():
                group.create_task(self._repeat(name, job, stop))

    async def _repeat(self, name: str, job: Job, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                await job(stop)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._bounds.sweep_interval_s):
                        await stop.wait()
        except Stopped:
            self._log.warning("stopped while waiting; what is due stays due", name=name)
        finally:
            self._guard.done(name)

    async def once(self) -> int:
        """Do everything that is due, and what comes of it; return the number of operations.

        Raises Transient if some job cannot be done now, once the others have been.
        """
        total = 0
        while True:
            begun, failed = await self._turn()
            await self.at_rest()
            if failed is not None:
                raise failed
            if begun == 0:
                return total
            total += begun

    async def at_rest(self) -> None:
        """Wait until no call runs and no answer waits: what an answer opens next is waited for, too."""
        while self._actor.busy or self._settler.busy:
            await self._actor.drained()
            await asyncio.sleep(0.01)

    async def _turn(self) -> tuple[int, Transient | None]:
        """Do each job once; return the number of operations begun, and why a job could not be done."""
        begun, failed = 0, None
        for job in self._jobs.values():
            try:
                begun += await job(None)
            except Transient as error:
                failed = failed or error
        return begun, failed

    async def _holds(self, stop: asyncio.Event | None) -> int:
        lapsed = self._ports.store.lapsed_holds
        await self._each(HOLDS, lapsed, self._expire_holds, stop)
        return 0

    async def _delays(self, stop: asyncio.Event | None) -> int:
        if self._due(DELAYS, min(DELAYS_EVERY_S, self._rules.delayed_notice_s / 10)):
            delayed = partial(self._ports.store.delayed_orders, self._rules.delayed_notice_s)
            await self._each(DELAYS, delayed, self._tell_delays, stop)
        return 0

    async def _stuck(self, stop: asyncio.Event | None) -> int:
        if self._due(STUCK, STUCK_EVERY_S):
            stuck = partial(self._ports.store.stuck_orders, self._rules.stuck_after_s)
            await self._each(STUCK, stuck, self._revive, stop)
        return 0

    async def _claims(self, stop: asyncio.Event | None) -> int:
        return await self._look(CLAIMS, self._claim, stop)

    async def _claim(self, most: int) -> int:
        limit = self._breaker.room(min(most, self._bounds.operations_open_max - self._actor.open_count))
        if limit <= 0:
            return 0
        claimed = await self._ports.store.claim_due(limit, self._rules.lease_s)
        self._actor.submit(claimed)
        return len(claimed)

    async def _look(self, name: str, look: Callable[[int], Awaitable[T]], stop: asyncio.Event | None) -> T:
        """Look for so many at the most: half as many once the database gave up, more again when it did not."""

        async def some(_contended: bool) -> T:  # noqa: FBT001 - as the guard calls
            most = self._most.get(name, CLAIM_MAX)
            try:
                found = await look(most)
            except TooMuch:
                self._most[name] = max(most // 2, 1)
                raise
            self._most[name] = min(most * 2, CLAIM_MAX)
            return found

        return await self._guard.transact(name, some, stop, apart=True)

    async def _each(
        self,
        name: str,
        look: Callable[[int], Awaitable[Sequence[OrderId]]],
        work: Callable[[Sequence[OrderId]], Awaitable[None]],
        stop: asyncio.Event | None,
    ) -> None:
        """Do this work for all orders found; one that raises is put in quarantine, and passed over from then on.

        One that somebody holds is passed over this time.
        """
        detour = self._detours[name]

        async def do(piece: Sequence[OrderId]) -> None:
            await self._guard.transact(name, lambda _: detour.guarded(piece, or_cut(piece, work(piece))), stop)

        async def give_up(order_id: OrderId, error: Exception) -> None:
            blamed = blame(error, order_id)
            await self._guard.transact(
                name, lambda _: detour.guarded([order_id], self._quarantine.order(order_id, blamed)), stop
            )

        order_ids = await self._look(name, look, stop)
        if order_ids and await detour.work(order_ids, do, give_up) and not self._guard.patient:
            raise Busy("another session holds a row that the sweep needs")

    async def _expire_holds(self, order_ids: Sequence[OrderId]) -> None:
        async with self._ports.store.transaction(contended=True) as transaction:
            orders = await transaction.load(order_ids)
            work = Work(transaction, orders, self._reactions, self._rules)
            calls = [call for order in orders.values() for call in self._expire(work, order)]
            await self._ports.inventory.perform(transaction, calls)
            await work.finish(self._ports)
        work.tell(self._log)
        self._log.info("holds ran out", holds=len(calls))

    def _expire(self, work: Work, order: Order) -> list[InventoryCall]:
        calls: list[InventoryCall] = []
        for hold in order.holds:
            current = work.order(order.order_id)
            assert current is not None
            decision = expire_hold(current, hold.attempt, work.context(None))
            if decision.order is None:
                continue
            work.apply(decision)
            name = operation_id(order.order_id, hold.attempt, OperationKind.RELEASE, 1)
            calls.append(InventoryCall(name, OperationKind.RELEASE, hold.reservation_id, order.lines, hold.expires_at))
        return calls

    async def _revive(self, order_ids: Sequence[OrderId]) -> None:
        unchanged_s = self._rules.stuck_after_s
        async with self._ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            # Another sweep may have found them, too, and have been here first.
            still = await transaction.unchanged(list(orders), unchanged_s)
            work = Work(transaction, orders, self._reactions, self._rules)
            again = []
            for order in orders.values():
                decision = revive(order, work.context(None)) if order.order_id in still else None
                if decision is not None:
                    work.apply(decision)
                    if not decision.events:
                        again.append(order.order_id)
            await work.finish(self._ports)
            await transaction.send_again(again)
        work.tell(self._log)
        if again:
            ring(
                self._log,
                "stuck",
                "orders stood still; their events are sent again",
                orders=len(again),
                order_ids=again[:IDS_MAX],
            )

    async def _tell_delays(self, order_ids: Sequence[OrderId]) -> None:
        """Tell customers whose payment takes long not to pay again, whether or not the gateway is there to be asked."""
        async with self._ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            work = Work(transaction, orders, self._reactions, self._rules)
            for order in orders.values():
                work.apply(tell_delay(order, work.context(None)))
            await work.finish(self._ports)
        work.tell(self._log)
        self._log.info("customers are told that their payment takes long", orders=len(work.changes.orders))

    def _due(self, name: str, every_s: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._next.get(name, 0):
            return False
        self._next[name] = now + every_s
        return True

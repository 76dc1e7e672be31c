"""The sweep: due and unknown operations, lapsed leases, holds that ran out, orders that nobody works on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from consumers.runtime.acting import IDS_MAX, Actor
from consumers.runtime.cutting import in_pieces, or_cut
from consumers.runtime.guard import Breaker, Guard, Stopped
from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.settling import Settler
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
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
        self._next: dict[str, float] = {}
        self._log = structlog.get_logger("consumers.sweep")

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop."""
        try:
            while not stop.is_set():
                await self.turn(stop)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._bounds.sweep_interval_s):
                        await stop.wait()
        except Stopped:
            self._log.warning("stopped while waiting; what is due stays due")
        finally:
            self._guard.done("sweep")

    async def once(self) -> int:
        """Do everything that is due, and what comes of it; return the number of operations."""
        total = 0
        while (claimed := await self.turn()) > 0:
            total += claimed
            await self.at_rest()
        return total

    async def at_rest(self) -> None:
        """Wait until no call runs and no answer waits: what an answer opens next is waited for, too."""
        while self._actor.busy or self._settler.busy:
            await self._actor.drained()
            await asyncio.sleep(0.01)

    async def turn(self, stop: asyncio.Event | None = None) -> int:
        """Look once for each kind of work; return the number of operations begun."""
        store = self._ports.store
        lapsed = await self._guard.transact("sweep", lambda _: store.lapsed_holds(CLAIM_MAX), stop)
        await self._each(lapsed, self._expire_holds, stop)
        if self._due("delays", min(DELAYS_EVERY_S, self._rules.delayed_notice_s / 10)):
            delayed = partial(store.delayed_orders, self._rules.delayed_notice_s, CLAIM_MAX)
            await self._each(await self._guard.transact("sweep", lambda _: delayed(), stop), self._tell_delays, stop)
        if self._due("stuck", STUCK_EVERY_S):
            stuck = partial(store.stuck_orders, self._rules.stuck_after_s, CLAIM_MAX)
            await self._each(await self._guard.transact("sweep", lambda _: stuck(), stop), self._revive, stop)
        return await self._guard.transact("sweep", lambda _: self._claim(), stop)

    async def _claim(self) -> int:
        limit = self._breaker.room(min(CLAIM_MAX, self._bounds.operations_open_max - self._actor.open_count))
        if limit <= 0:
            return 0
        claimed = await self._ports.store.claim_due(limit, self._rules.lease_s)
        self._actor.submit(claimed)
        return len(claimed)

    async def _each(
        self,
        order_ids: Sequence[OrderId],
        work: Callable[[Sequence[OrderId]], Awaitable[None]],
        stop: asyncio.Event | None,
    ) -> None:
        """Do this work for all orders; one that raises is put in quarantine, and passed over from then on."""

        async def do(piece: Sequence[OrderId]) -> None:
            await self._guard.transact("sweep", lambda _: or_cut(piece, work(piece)), stop)

        async def give_up(order_id: OrderId, error: Exception) -> None:
            blamed = blame(error, order_id)
            await self._guard.transact("sweep", lambda _: self._quarantine.order(order_id, blamed), stop)

        if order_ids:
            await in_pieces(order_ids, do, give_up)

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

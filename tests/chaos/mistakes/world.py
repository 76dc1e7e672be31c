"""A small world for one mistake: a pipeline in this process, some orders of a script, and the oracle's case of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg

from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.reactions import BY_NAME, REACTIONS
from consumers.runtime.ports import Ports
from consumers.runtime.redriving import Redriver
from deploy.bounds import bounds_of
from deploy.relaying import relay_of
from deploy.sources import source_maker
from deploy.wiring import rules_of
from domain.decision import Notification
from domain.operation import GatewayCall
from domain.ports.gateway import Begin, GatewayAnswer, LedgerEntry, at_once
from domain.ports.source import Source
from domain.reaction import Reaction
from outbox.store import PostgresStore
from tests.chaos import messages
from tests.chaos.clock import unix_micros, unix_s
from tests.chaos.evidence import gather
from tests.chaos.messages import What
from tests.chaos.oracle import Case, Verdict, judge
from tests.chaos.outlet import Outlet
from tests.chaos.published import Published
from tests.chaos.script import KINDS, SIMPLE, STOCK, Also, Kind, Order, Script
from tests.chaos.wire import Call
from tests.consumers.gateway import MoodyGateway
from tests.consumers.harness import Member, Pipeline, now

SENT_S: Final = 60.0
WAIT_S: Final = 60.0
FINAL: Final = ["paid_and_confirmed", "payment_failed", "manual_review"]
LATENCY_MS: Final = 150
CONFLICTS: Final = tuple(kind for kind in KINDS if kind.also is Also.CHANGED)
PENDING: Final = "refund pending"
QUICK: Final = tuple(kind for kind in SIMPLE if kind.name != PENDING)


class Noted(MoodyGateway):
    """The simulated gateway, whose calls are noted as the wire notes them."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.calls: list[Call] = []

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Note when each call begins and ends."""
        begun = [Call(call.idempotency_key, str(call.kind), unix_s()) for call in calls]
        self.calls += begun
        try:
            async for group in super().perform(calls, begin):
                yield group
        finally:
            for call in begun:
                call.ended_at = unix_s()


class Telling(LogNotifier):
    """The notifier, which remembers what it told."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Tell, and remember."""
        self.keys += [str(one.key) for one in notifications]
        await super().tell(notifications)


@dataclass(slots=True)
class SmallWorld:
    """pipeline: its harness. published: the oracle's ledger. raised: orders of which an event of ours raises."""

    pipeline: Pipeline
    published: Published = field(default_factory=Published)
    gateway: Noted = field(init=False)
    notifier: Telling = field(default_factory=Telling)
    raised: set[str] = field(default_factory=set)
    _written: int = 0
    _script: Script = field(default_factory=lambda: Script(7))

    def __post_init__(self) -> None:
        settings = self.pipeline.settings
        self.gateway = self.pipeline.gateway = Noted(
            now, asyncio.sleep, latency_ms=LATENCY_MS, timeout_s=5, pending_s=settings.sandbox_pending_s
        )

    async def furnish(self) -> None:
        """Put the script's goods on the shelf."""
        await self.pipeline.stock(**STOCK)

    async def publish(self, count: int, kinds: Sequence[Kind] = QUICK) -> list[Order]:
        """Publish orders, and what their script says besides."""
        return await self.confirm(self.orders(count, kinds))

    def orders(self, count: int, kinds: Sequence[Kind] = QUICK) -> list[Order]:
        """Write orders that nobody has published yet."""
        self._written += 1
        return self._script.more(f"m{self._written}", count, tuple(kinds))

    async def confirm(self, orders: list[Order], *, raises: bool = False) -> list[Order]:
        """Publish these. raises: their messages will raise in plan, so that they must become dead letters."""
        settings = self.pipeline.settings
        bootstrap = str(settings.kafka_bootstrap_servers)
        outlet = Outlet(bootstrap, settings.topic_prefix, self.published)
        try:
            for order in orders:
                self.published.script(order)
                said = messages.confirmed(order, unix_micros())
                outlet.send(replace(said, what=What.WRONG, reasons=frozenset({"quarantined"})) if raises else said)
                if order.kind.also is Also.CHANGED:
                    assert await asyncio.to_thread(outlet.wait, SENT_S)
                    outlet.send(messages.other_content(order, unix_micros()))
            assert await asyncio.to_thread(outlet.wait, SENT_S)
        finally:
            await asyncio.to_thread(outlet.close)
        return orders

    def join(
        self,
        *,
        reactions: Sequence[Reaction] = REACTIONS,
        make_source: Callable[[Source], Source] = lambda source: source,
        wrap: Callable[[PostgresStore], Any] = lambda store: store,
        sweep: bool = True,
    ) -> Member:
        """Start a process of all roles. make_source: wraps the source of OrderConfirmed; wrap: the store."""
        stop, store, make = asyncio.Event(), self.pipeline.store(), source_maker(self.pipeline.settings)
        engine = self.pipeline.engine(wrap(store), None, {"notifier": self.notifier}, reactions)

        def source_of(reaction: Reaction) -> Source:
            source = make(reaction)
            return make_source(source) if reaction.trigger.TYPE == messages.ORDER else source

        also = [relay_of(self.pipeline.settings).run(stop)]
        work = engine.run(stop, reactions, source_of, sweep=sweep, also=also)
        member = Member(engine, stop, asyncio.ensure_future(work))
        self.pipeline.members.append(member)
        return member

    def redriver(self, kind: type[Redriver]) -> Redriver:
        """Make an operator's redriver, of the right release."""
        pipeline = self.pipeline
        codec, settings = pipeline.codec, pipeline.settings
        ports = Ports(pipeline.operators_store(), self.gateway, InternalInventory(), self.notifier, codec.decode, codec)
        return kind(ports, BY_NAME, rules_of(settings), bounds_of(settings), by="ann")

    async def until_ended(self, count: int) -> None:
        """Wait until so many orders have their outcome, and nothing is under way."""

        async def ended() -> bool:
            return bool(
                await self.pipeline.value(
                    """SELECT (SELECT count(*) FROM orders WHERE status = ANY(%s)) >= %s
                          AND (SELECT count(*) FROM outbox) = 0
                          AND NOT EXISTS (SELECT FROM reservation WHERE state = 'held')
                          AND NOT EXISTS (SELECT FROM operation WHERE state IN ('open', 'pending', 'unknown'))""",
                    FINAL,
                    count,
                )
            )

        await self.pipeline.until(ended, f"{count} outcomes", WAIT_S)

    async def verdict(self) -> Verdict:
        """Have the oracle judge this world, but for how long orders took: other tests have the machine meanwhile."""
        whole = await asyncio.to_thread(self._judge, await self.gateway.entries())
        in_time = tuple(violation for violation in whole.violations if violation.check != "late")
        return replace(whole, violations=in_time)

    def _judge(self, entries: Sequence[LedgerEntry]) -> Verdict:
        settings = self.pipeline.settings
        bootstrap, prefix = str(settings.kafka_bootstrap_servers), settings.topic_prefix
        with psycopg.connect(settings.psycopg_url(), autocommit=True) as connection:
            found = gather(bootstrap, prefix, connection, [_intent(entry) for entry in reversed(entries)])
        told, raised = self.notifier.keys, frozenset(self.raised)
        case = Case(published=self.published, found=found, calls=self.gateway.calls, told=told, raised=raised)
        return judge(case)


def _intent(entry: LedgerEntry) -> dict[str, Any]:
    """Say an entry of the simulated gateway as the sandbox says its own."""
    effects = [{"kind": effect.kind, "amount_minor": effect.amount_minor} for effect in entry.effects]
    return {
        "order_id": entry.order_id,
        "currency": entry.currency,
        "amount_captured_minor": entry.captured_minor,
        "amount_refunded_minor": entry.refunded_minor,
        "effects": effects,
    }

"""A small world for one mistake: a pipeline in this process, some orders of a script, and the oracle's case of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from consumers.reactions import REACTIONS
from deploy.composition import relay_of, source_maker
from domain.operation import GatewayCall
from domain.ports.gateway import Begin, GatewayAnswer, LedgerEntry, at_once
from domain.ports.source import Source
from domain.reaction import Reaction
from outbox.store import PostgresStore
from tests.chaos import messages
from tests.chaos.clock import unix_micros, unix_s
from tests.chaos.evidence import gather
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


@dataclass(slots=True)
class SmallWorld:
    """pipeline: its harness. published: the oracle's ledger."""

    pipeline: Pipeline
    published: Published = field(default_factory=Published)
    gateway: Noted = field(init=False)
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
        settings = self.pipeline.settings
        bootstrap = str(settings.kafka_bootstrap_servers)
        orders = self._script.more(f"m{self.published.count}", count, tuple(kinds))
        outlet = Outlet(bootstrap, settings.topic_prefix, self.published)
        try:
            for order in orders:
                self.published.script(order)
                outlet.send(messages.confirmed(order, unix_micros()))
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
        make_source: Callable[[Source], Source] = lambda source: source,
        wrap: Callable[[PostgresStore], Any] = lambda store: store,
        sweep: bool = True,
    ) -> Member:
        """Start a process of all roles. make_source: wraps the source of OrderConfirmed; wrap: the store."""
        stop, store, make = asyncio.Event(), self.pipeline.store(), source_maker(self.pipeline.settings)
        engine = self.pipeline.engine(wrap(store))

        def source_of(reaction: Reaction) -> Source:
            source = make(reaction)
            return make_source(source) if reaction.trigger.TYPE == messages.ORDER else source

        also = [relay_of(self.pipeline.settings).run(stop)]
        work = engine.run(stop, REACTIONS, source_of, sweep=sweep, also=also)
        member = Member(engine, stop, asyncio.ensure_future(work))
        self.pipeline.members.append(member)
        return member

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
        """Have the oracle judge this world."""
        return await asyncio.to_thread(self._judge, await self.gateway.entries())

    def _judge(self, entries: Sequence[LedgerEntry]) -> Verdict:
        settings = self.pipeline.settings
        bootstrap, prefix = str(settings.kafka_bootstrap_servers), settings.topic_prefix
        with psycopg.connect(settings.psycopg_url(), autocommit=True) as connection:
            found = gather(bootstrap, prefix, connection, [_intent(entry) for entry in reversed(entries)])
        return judge(Case(published=self.published, found=found, calls=self.gateway.calls))


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

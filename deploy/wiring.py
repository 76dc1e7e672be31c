"""The composition root: makes ports and rules from settings, and the engine and the rest from those."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME
from consumers.runtime.asking import Asker
from consumers.runtime.engine import Engine
from consumers.runtime.guard import Guard
from consumers.runtime.ports import Local, Ports
from consumers.runtime.resolving import Resolver
from deploy import gateways
from deploy.bounds import bounds_of, named_alike
from deploy.contracts import Contracts, codec_of
from deploy.gateways import event_list_of, is_live
from deploy.inventories import check_inventory, is_elsewhere, local_of, remote_of
from deploy.metrics.instruments import Instruments
from deploy.notifying import messenger_of, notifier_of, sends_messages
from deploy.readiness import check_all, check_session, database_checks
from deploy.settings import Settings
from deploy.topics import check_topics
from deploy.tracing.instruments import tracer_of
from domain.ids import OrderId
from domain.ports.metering import StoreMeter, Unmetered
from domain.rules import Rules
from outbox.driver.connections import Connections
from outbox.schema.privileges import Process
from outbox.store import PostgresStore
from schemas.codec import Codec

WRITTEN_MAX = 8_000
"""So many events that a process wrote it need not decode when it reads them: some 20 MB. Of a long backlog six thousand
orders are under way, each with one event that is to come back."""


def rules_of(settings: Settings) -> Rules:
    """Make the rules from the settings of the same names."""
    named = {**named_alike(settings, Rules.__struct_fields__), "four_eyes_minor": settings.four_eyes()}
    return Rules(
        **named,
        livemode=settings.gateway == "stripe" and is_live(settings),
        inventory_elsewhere=is_elsewhere(settings),
    )


@asynccontextmanager
async def store_of(
    settings: Settings, codec: Codec | None = None, meter: StoreMeter | None = None
) -> AsyncIterator[PostgresStore]:
    """Open the store; closed at the end. codec: that of the consumers, if there are any. meter: hears of it."""
    store = PostgresStore(
        Connections(settings.psycopg_url(), settings.database_pool),
        (codec or codec_of(settings)).encode,
        prefix=settings.topic_prefix,
        event_bytes_max=settings.event_bytes_max,
        inbox_retention_days=settings.inbox_retention_days,
        upkeep_url=settings.direct_url(),
        send_messages=sends_messages(settings),
        meter=meter,
    )
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def engine_of(
    settings: Settings, *, relay: bool = False, sweep: bool = False, instruments: Instruments | None = None
) -> AsyncIterator[Engine]:
    """Check what an engine needs, then make it with its store and gateway; closed at the end.

    relay: it also relays. sweep: it keeps up the inbox. instruments: they count and trace. Raises as deploy.readiness.
    """
    processes = [Process.ENGINE, *([Process.RELAY] if relay else []), *([Process.UPKEEP] if sweep else [])]
    async with AsyncExitStack() as stack:

        async def known_before(order_id: OrderId) -> Sequence[str]:
            return await store.known_before(order_id)

        # Made before the store, so that wrong settings are told before a database is asked for.
        gateway = gateways.gateway_of(settings, known_before)
        stack.push_async_callback(gateway.close)
        remote = remote_of(settings)
        if remote is not None:
            stack.push_async_callback(remote.close)
        messenger = messenger_of(settings)
        if messenger is not None:
            stack.push_async_callback(messenger.close)
        contracts = stack.enter_context(closing(Contracts(settings, written_max=WRITTEN_MAX)))
        await check_all(
            *database_checks(settings, *processes),
            partial(check_topics, settings),
            partial(asyncio.to_thread, contracts.prepare),
            *([partial(check_session, settings, "the relay")] if relay else []),
        )
        await check_inventory(settings)  # it needs the schema
        codec = contracts.codec
        meter = instruments.store_meter() if instruments is not None else None
        store = await stack.enter_async_context(store_of(settings, codec, meter))
        ports = Ports(
            store,
            gateway if instruments is None else instruments.gateway(gateway),
            local_of(settings),
            notifier_of(settings),
            codec.decode,
            codec,
            store.notices,
            event_list_of(settings, gateway),
            store.messages,
            messenger,
            remote if instruments is None else instruments.inventory(remote),
            store.letters,
            instruments or Unmetered(),
            tracer_of(settings, instruments),
        )
        engine = Engine(ports, BY_NAME, rules_of(settings), bounds_of(settings))
        if instruments is not None:
            instruments.watch_edges(engine.edges.all())
            instruments.health.watch(engine.guard.ages)
        yield engine


@asynccontextmanager
async def resolver_of(settings: Settings) -> AsyncIterator[Resolver]:
    """Make what applies an operator's ruling. It asks no gateway, and does not wait for a database that is down."""
    async with store_of(settings) as store:
        local = Local(local_of(settings), notifier_of(settings))
        yield Resolver(store, local, BY_NAME, rules_of(settings), Guard(bounds_of(settings)), could_name)


@asynccontextmanager
async def asker_of(settings: Settings) -> AsyncIterator[Asker]:
    """Make what asks something of an order for an operator. As resolver_of, it asks no gateway and does not wait."""
    async with store_of(settings) as store:
        local = Local(local_of(settings), notifier_of(settings))
        yield Asker(store, local, BY_NAME, rules_of(settings), Guard(bounds_of(settings)))

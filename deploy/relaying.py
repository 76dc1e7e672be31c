"""A relay as a process: what it needs is checked at start. It decides nothing, so it loads no event and no rule."""

import asyncio
from collections.abc import Callable
from functools import partial

from consumers.runtime.guard import Guard
from deploy.bounds import bounds_of
from deploy.metrics.instruments import Instruments
from deploy.presence import present
from deploy.processes import Started
from deploy.readiness import check_all, check_session, database_checks
from deploy.settings import Settings
from deploy.topics import check_rights, check_topics
from domain.ports.publisher import Publisher
from outbox.relay import Relay
from outbox.relay.lease import deadline_s
from outbox.schema.privileges import Process
from producers.kafka_publisher import KafkaPublisher


def relay_of(
    settings: Settings, on_turn: Callable[[str], None] = lambda _: None, instruments: Instruments | None = None
) -> Relay:
    """Make the relay. on_turn: called at every turn of its loop. instruments: what it does is counted there."""
    metered = instruments.relay() if instruments is not None else None

    async def make_publisher() -> Publisher:
        publisher = KafkaPublisher(settings.kafka_options(), deadline_s=deadline_s(settings.relay_lease_s))
        await publisher.start()
        return publisher if metered is None else metered(publisher)

    return Relay(
        settings.direct_url(),
        make_publisher,
        prefix=settings.topic_prefix,
        batch=settings.relay_batch,
        poll_s=settings.relay_poll_s,
        lease_s=settings.relay_lease_s,
        # The rest of the time is for connections that close slowly.
        stop_s=settings.drain_timeout_s / 4,
        quarantine_max=settings.quarantine_max,
        on_turn=on_turn,
    )


async def check_relay(settings: Settings) -> None:
    """Check what a relay needs. It sends bodies as they are, so it needs no registry."""
    await check_all(
        *database_checks(settings, Process.RELAY),
        partial(check_session, settings, "the relay"),
        partial(check_topics, settings),
        partial(check_rights, settings, relays=True),
    )


async def relay_until(settings: Settings, stop: asyncio.Event, started: Started, instruments: Instruments) -> None:
    """Relay until stop is set. It needs no gateway, so its process holds no key."""
    await check_relay(settings)
    guard = Guard(bounds_of(settings))
    instruments.health.watch(guard.ages)
    relay = relay_of(settings, guard.turn, instruments)
    async with present(settings, "relay", direct=True) as beat:
        started()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(guard.watch())
            group.create_task(beat(stop))
            await relay.run(stop)
            watching.cancel()


async def relay_once(settings: Settings) -> int:
    """Send what the outbox holds; return how many messages."""
    await check_relay(settings)
    return await relay_of(settings).once()

"""A process with all roles, made as `payments up` makes it, in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers.reactions import REACTIONS
from deploy.relaying import relay_of
from deploy.settings import Settings
from deploy.sources import source_maker
from deploy.tracing.instruments import instruments_of
from deploy.wiring import engine_of
from tests.consumers.harness import WAIT_S


@asynccontextmanager
async def running(settings: Settings, *, relay: bool = True) -> AsyncIterator[None]:
    """Run it while inside; at the end it is drained, and its last spans are sent."""
    instruments = instruments_of(settings, "all", 300)
    async with instruments.serving(), engine_of(settings, relay=relay, sweep=True, instruments=instruments) as engine:
        stop = asyncio.Event()
        also = [relay_of(settings, engine.guard.turn, instruments).run(stop)] if relay else []
        work = engine.run(stop, REACTIONS, source_maker(settings), sweep=True, also=also)
        task = asyncio.ensure_future(work)
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, WAIT_S)


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[None]:
    """Run a relay alone."""
    instruments = instruments_of(settings, "relay", 300)
    async with instruments.serving():
        stop = asyncio.Event()
        task = asyncio.ensure_future(relay_of(settings, instruments=instruments).run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, WAIT_S)

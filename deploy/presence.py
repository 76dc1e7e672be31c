"""Says in the database that this process runs, from its start until its end: no contraction takes what it uses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg
import structlog

from deploy.failures import NOT_REACHED, Failure
from deploy.settings import Settings
from domain.errors import Transient, Unfit
from outbox.schema.presence import Presence
from outbox.schema.steps import needed, revisions
from schemas.version import RELEASE

BEAT_S: Final = 15.0
LEASE_S: Final = 60.0
"""Its word holds so long, and as long as it may drain: it does not say so any more while it drains."""
LEAVE_S: Final = 2.0

Beating = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@asynccontextmanager
async def present(settings: Settings, roles: str, *, direct: bool = False) -> AsyncIterator[Beating]:
    """Announce this process; its row goes at the end. Yields what says again and again that it runs, until stop is set.

    direct: at PAYMENTS_DATABASE_DIRECT_URL. Raises Failure if a newer release has taken away what this one needs; so
    does what is yielded, for a process that was frozen meanwhile. What is yielded outlasts an outage of the database.
    """
    presence = _presence_of(settings, roles, direct=direct)
    await _fit(presence.announce())
    try:
        yield lambda stop: _beat(presence, stop)
    finally:
        # After a second signal, or without a database, the row stays, and names a process that is silent.
        with suppress(psycopg.Error, OSError):
            async with asyncio.timeout(LEAVE_S):
                await presence.leave()


def _presence_of(settings: Settings, roles: str, *, direct: bool) -> Presence:
    fit = [revision for revision in revisions() if revision <= needed()]
    url = settings.direct_url() if direct else settings.psycopg_url()
    return Presence(url, RELEASE, fit, roles, LEASE_S + settings.drain_timeout_s)


async def _beat(presence: Presence, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_S)
            return
        try:
            await _fit(presence.beat())
        except (Transient, psycopg.Error, OSError) as error:
            structlog.get_logger("deploy.presence").debug("not said that this process runs", error=str(error))


async def _fit(saying: Coroutine[Any, Any, None]) -> None:
    try:
        await saying
    except Unfit as unfit:
        raise Failure(str(unfit), NOT_REACHED) from unfit

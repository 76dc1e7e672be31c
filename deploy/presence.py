"""Says in the database that this process runs, from its start until its end: no contraction takes what it uses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import click
import psycopg
import structlog

from deploy.failures import NOT_REACHED, Failure
from deploy.running import run
from deploy.settings import Settings
from domain.errors import Transient, Unfit
from outbox.schema.presence import Presence, ReadOnly
from outbox.schema.steps import needed, revisions
from schemas.version import RELEASE

BEAT_S: Final = 15.0
LEASE_S: Final = 60.0
"""Its word holds so long, and as long as it may drain: it does not say so any more while it drains."""
LEAVE_S: Final = 2.0
NOT_SAID: Final = (
    "cannot say in the table `process` that this process runs; `payments migrate --contract` shows it as silent after "
    "a minute: do not say --ended of it. Its user needs UPDATE there, and nobody may hold the table"
)

Beating = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@asynccontextmanager
async def present(
    settings: Settings, roles: str, *, direct: bool = False, every_s: float = BEAT_S
) -> AsyncIterator[Beating]:
    """Announce this process; its row goes at the end. Yields what says again and again that it runs, until stop is set.

    direct: at PAYMENTS_DATABASE_DIRECT_URL. every_s: between its words. Raises Failure if a newer release has taken
    away what this one needs; so does what is yielded, for a process that was frozen meanwhile. What is yielded
    outlasts an outage of the database.
    """
    presence = _presence_of(settings, roles, direct=direct)
    await _fit(presence.announce())
    try:
        yield lambda stop: _beat(presence, stop, every_s)
    finally:
        await _leave(presence)


def announce_command(settings: Settings) -> None:
    """Announce the command that runs now, until its click context closes: no contraction takes what it uses.

    One that may only read does without: nothing that it does is left half done. Raises as present.
    """
    context = click.get_current_context()
    presence = _presence_of(settings, context.command_path, direct=False)
    try:
        run(_fit(presence.announce()))
    except (ReadOnly, psycopg.errors.InsufficientPrivilege):
        return
    context.call_on_close(lambda: run(_leave(presence)))


async def _leave(presence: Presence) -> None:
    # After a second signal, or without a database, the row stays, and names a process that is silent.
    with suppress(Transient, psycopg.Error, OSError):
        async with asyncio.timeout(LEAVE_S):
            await presence.leave()


def _presence_of(settings: Settings, roles: str, *, direct: bool) -> Presence:
    fit = [revision for revision in revisions() if revision <= needed()]
    url = settings.direct_url() if direct else settings.psycopg_url()
    return Presence(url, RELEASE, fit, roles, LEASE_S + settings.drain_timeout_s)


async def _beat(presence: Presence, stop: asyncio.Event, every_s: float) -> None:
    log, silent = structlog.get_logger("deploy.presence"), False
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
            return
        try:
            await _fit(presence.beat())
        except (Transient, psycopg.Error, OSError) as error:
            if not silent:
                # With a full database it works on meanwhile; an outage of it is told by others, too.
                log.warning(NOT_SAID, error=str(error))
            silent = True
        else:
            if silent:
                log.info("this process has said again that it runs")
            silent = False


async def _fit(saying: Coroutine[Any, Any, None]) -> None:
    try:
        await saying
    except Unfit as unfit:
        raise Failure(str(unfit), NOT_REACHED) from unfit

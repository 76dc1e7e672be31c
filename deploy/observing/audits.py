"""Runs the audit of changed orders again and again, and rings when it finds something."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import psycopg
import structlog

from deploy.consuming import consumed_with
from deploy.contracts import codec_of
from deploy.settings import Settings
from domain.alarms import ring
from domain.errors import Transient
from outbox.audit import Audited, Scope, audit_changed
from outbox.driver.conninfo import connect

ASKED_OFTEN: Final = 5
"""So often in an interval a sweep asks whether a run is due: another one may have gone in the middle of it."""
SHOWN_MAX: Final = 5


class Audits:
    """Of all sweeps one runs it at a time. It never stops its process: payments do not need it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        groups = {reaction.trigger.TYPE: reaction.group for reaction in consumed_with(settings)}
        self._scope = Scope(codec_of(settings), groups, settings.topic_prefix)
        self._log = structlog.get_logger("deploy.observing")

    async def run(self, stop: asyncio.Event) -> None:
        """Audit until stop is set."""
        while not stop.is_set():
            auditing = asyncio.ensure_future(self._once())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({auditing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not auditing.done():
                # What is not ended is begun anew by whoever runs next.
                auditing.cancel()
                with suppress(asyncio.CancelledError):
                    await auditing
                return
            self._tell(auditing)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.audit_interval_s / ASKED_OFTEN)

    async def _once(self) -> Audited | None:
        connection: psycopg.AsyncConnection[Any] = await connect(
            self._settings.psycopg_url(), name="payments audit", autocommit=True
        )
        async with connection:
            return await audit_changed(connection, self._scope, self._settings.audit_interval_s)

    def _tell(self, auditing: "asyncio.Task[Audited | None] | asyncio.Future[Audited | None]") -> None:
        error = auditing.exception()
        if isinstance(error, Transient | psycopg.Error | OSError):
            self._log.warning("the audit of changed orders could not run; it is tried again", error=str(error))
        elif error is not None:
            self._log.warning("the audit of changed orders raised; it is tried again", exc_info=error)
        elif (audited := auditing.result()) is not None and audited.new:
            ring(
                self._log,
                "audit_broken",
                "an audit of changed orders found what must not be",
                found={str(number): count for number, count in audited.found.items()},
                new=len(audited.new),
                examples=list(audited.new[:SHOWN_MAX]),
            )

"""The relay's loop: take the lease, send, wait through outages, and end in time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql

from domain.errors import Transient
from domain.ports.publisher import Publisher
from outbox.driver.conninfo import connect_as
from outbox.driver.session import Session
from outbox.driver.sqlstates import may_pass
from outbox.journal.waking import CHANNEL
from outbox.relay.lapses import Lapses
from outbox.relay.lease import Lease, LeaseLost, new_holder
from outbox.relay.outages import Outages, cause_of, is_too_much
from outbox.relay.sending import Sending
from outbox.relay.waiting import pause, wait_for_rows

CONNECT_S: Final = 60.0
"""For all servers that the address names: they are tried in turn, and one that does not answer costs its time-out."""
CANCEL_AGAIN_S: Final = 7.0
"""On a frozen server the first cancellation does not end: psycopg asks for five seconds, then goes on waiting."""


class Relay:
    """One of any number; one sends at a time, the others stand by.

    conninfo: libpq's, not behind a pooler. make_publisher: makes a new producer. batch: messages read at once. poll_s:
    seconds between reads without a notification. lease_s: a frozen relay is replaced within it. stop_s: when stop is
    set, the work under way may take so long. quarantine_max: see quarantine.py. on_turn: called at every turn of the
    loop, with the loop's name.
    """

    def __init__(
        self,
        conninfo: str,
        make_publisher: Callable[[], Awaitable[Publisher]],
        *,
        prefix: str = "",
        batch: int = 2_000,
        poll_s: float = 1.0,
        lease_s: float = 10.0,
        stop_s: float = 5.0,
        quarantine_max: int = 20,
        on_turn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._conninfo = conninfo
        self._make_publisher = make_publisher
        self._poll_s = poll_s
        self._lease_s = lease_s
        self._stop_s = stop_s
        self._sending = Sending(prefix, batch, quarantine_max)
        self._on_turn = on_turn
        self._log = structlog.get_logger("outbox.relay")
        self._outages = Outages(self._log)
        self._lapses = Lapses(self._log, lease_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until stop is set. Waits through outages."""
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._work(stop))
            ending = group.create_task(self._end(stop, working))
            working.add_done_callback(lambda _: ending.cancel())

    async def once(self) -> int:
        """Send what is there and end; return how many. Raises Transient or psycopg.Error in an outage.

        Returns 0 when another relay is active: that one sends them.
        """
        before = self._sending.sent
        with suppress(LeaseLost):
            await self._session(None)
        return self._sending.sent - before

    async def _end(self, stop: asyncio.Event, working: asyncio.Task[None]) -> None:
        """Cancel the work stop_s after stop was set: a server that does not answer must not keep it from ending."""
        await stop.wait()
        await asyncio.sleep(self._stop_s)
        while True:
            working.cancel()
            await asyncio.sleep(CANCEL_AGAIN_S)

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._on_turn("relay")
            try:
                await self._session(stop)
            except LeaseLost:
                self._log.info("another relay is active")
                self._lapses.add()
            except (Transient, psycopg.Error) as error:
                if not may_pass(error):
                    raise
                if is_too_much(error):
                    self._sending.read_less()
                await pause(stop, self._outages.add(error))

    async def _session(self, stop: asyncio.Event | None) -> None:
        """Be the active relay or stand by, with new connections and a new producer. stop: None to send once and end."""
        async with await self._connect() as connection, await self._connect() as another:
            lease = self._lease_over(another)
            while not await lease.take():
                self._on_turn("relay")
                if stop is None or await pause(stop, min(self._poll_s, lease.try_again_s)):
                    return
            try:
                async with asyncio.TaskGroup() as group:
                    keeping = group.create_task(lease.keep())
                    await self._be_active(connection, lease, stop)
                    keeping.cancel()
            except ExceptionGroup as errors:
                error = cause_of(errors)
                if may_pass(error) and lease.is_over():
                    # The process stood still meanwhile, so the error may be old. If not, the next session meets it too.
                    raise LeaseLost(str(error)) from None
                raise error from None
            finally:
                await lease.give_up()

    def _lease_over(self, connection: psycopg.AsyncConnection[Any]) -> Lease:
        # A new name for each session: the server may keep the last session long after the network has lost it.
        return Lease(connection, new_holder(), self._lease_s, self._lapses.add)

    async def _be_active(self, connection: Session, lease: Lease, stop: asyncio.Event | None) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        await self._sending.begin(connection)
        publisher = await self._make_publisher()
        self._log.info("active")
        try:
            while stop is None or not stop.is_set():
                self._on_turn("relay")
                await lease.wait_until_usable()
                more = await self._sending.send_batch(connection, publisher, lease.may_send)
                self._outages.end()
                self._lapses.note_sent()
                if not more and stop is None:
                    return
                if not more and stop is not None:
                    await wait_for_rows(connection, stop, self._poll_s)
        finally:
            with suppress(Transient):
                await publisher.close()

    async def _connect(self) -> Session:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await connect_as(Session, self._conninfo, name="payments relay", autocommit=True)
                try:
                    await _set_up(connection)
                except BaseException:
                    # Nobody else has it yet: a relay that is stopped now would leave it open.
                    await connection.close()
                    raise
        except TimeoutError:
            raise Transient(f"the database did not answer for {CONNECT_S:g} s") from None
        return connection


async def _set_up(connection: Session) -> None:
    # A crash may lose the last commits. A lost delete sends a message twice, which is allowed; a lost lease is taken
    # again; a row to quarantine raises again.
    for setting in ("synchronous_commit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
        await connection.execute(sql.SQL("SET {} = off").format(sql.Identifier(setting)))

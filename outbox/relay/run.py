"""The relay's life: take the lease, send, wait out what is down, and end in time when told to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql

from domain.alarms import Lasting
from domain.backoff import outage_backoff_s
from domain.errors import Transient
from domain.ports.publisher import Publisher
from outbox.driver.conninfo import connect
from outbox.driver.sqlstates import may_pass, said
from outbox.relay.lapses import Lapses
from outbox.relay.lease import Lease, LeaseLost, new_holder
from outbox.relay.outages import cause_of, is_too_much
from outbox.relay.sending import Sending
from outbox.store.statements import CHANNEL

RETRY_MAX_S: Final = 5.0
CONNECT_S: Final = 60.0
"""For all servers that the address names, one after the other: each may swallow what we send for its own time-out."""
CANCEL_AGAIN_S: Final = 7.0
"""A frozen server holds up the first cancellation: psycopg asks it for five seconds to cancel, and then waits on."""


class Relay:
    """One of any number; one sends at a time, the others stand by.

    conninfo: libpq's, not behind a pooler. make_publisher: makes a new producer. batch: messages read at once. poll_s:
    the safety net. lease_s: who is frozen is replaced within it. stop_s: what is under way when told to stop may take
    so long. quarantine_max: see quarantine.py.
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
    ) -> None:
        self._conninfo = conninfo
        self._make_publisher = make_publisher
        self._poll_s = poll_s
        self._lease_s = lease_s
        self._stop_s = stop_s
        self._sending = Sending(prefix, batch, quarantine_max)
        self._failures = 0
        self.on_turn: Callable[[str], None] = lambda _: None
        self._log = structlog.get_logger("outbox.relay")
        self._down = Lasting(self._log, "dependency_down")
        self._lapses = Lapses(self._log, lease_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until told to stop. What is down is waited for."""
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._work(stop))
            ending = group.create_task(self._end(stop, working))
            working.add_done_callback(lambda _: ending.cancel())

    async def once(self) -> int:
        """Send what is there and end; return how many. Raises Transient or psycopg.Error when it cannot.

        Returns 0 when another relay is active: it sends them.
        """
        before = self._sending.sent
        with suppress(LeaseLost):
            await self._session(None)
        return self._sending.sent - before

    async def _end(self, stop: asyncio.Event, working: asyncio.Task[None]) -> None:
        """Cancel the work some time after it was told to stop: a server that does not answer must not hold it up."""
        await stop.wait()
        await asyncio.sleep(self._stop_s)
        while True:
            working.cancel()
            await asyncio.sleep(CANCEL_AGAIN_S)

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.on_turn("relay")
            try:
                await self._session(stop)
            except LeaseLost:
                self._log.info("another relay is active")
                self._lapses.add()
            except (Transient, psycopg.Error) as error:
                if not may_pass(error):
                    raise
                await self._wait_out(error, stop)

    async def _wait_out(self, error: Exception, stop: asyncio.Event) -> None:
        self._failures += 1
        if is_too_much(error):
            self._sending.read_less()
        dependency = error.dependency if isinstance(error, Transient) else "postgresql"
        now = asyncio.get_running_loop().time()
        if not self._down.again(now, "waiting", name="relay", dependency=dependency, error=said(error)):
            self._log.debug("still waiting", failures=self._failures)
        await _pause(stop, outage_backoff_s(self._failures, RETRY_MAX_S))

    def _all_is_well(self) -> None:
        """End an outage: the next one is an alarm again, and is tried anew from the shortest pause on."""
        self._down.end(asyncio.get_running_loop().time(), "going on", failures=self._failures)
        self._failures = 0
        self._lapses.all_is_well()

    async def _session(self, stop: asyncio.Event | None) -> None:
        """Be the active relay, or stand by, with connections and a producer of its own. stop: None, once is enough."""
        async with await self._connect() as connection, await self._connect() as another:
            lease = self._lease_over(another)
            while not await lease.take():
                self.on_turn("relay")
                if stop is None or await _pause(stop, min(self._poll_s, lease.try_again_s)):
                    return
            try:
                async with asyncio.TaskGroup() as group:
                    keeping = group.create_task(lease.keep())
                    await self._be_active(connection, lease, stop)
                    keeping.cancel()
            except ExceptionGroup as errors:
                error = cause_of(errors)
                if may_pass(error) and lease.is_over():
                    # Time went by without us: what failed meanwhile says little. If it still fails, that is told next.
                    raise LeaseLost(str(error)) from None
                raise error from None
            finally:
                await lease.give_up()

    def _lease_over(self, connection: psycopg.AsyncConnection[Any]) -> Lease:
        # A name a session: the server may hold the last one for long after the network has lost it.
        return Lease(connection, new_holder(), self._lease_s, self._lapses.add)

    async def _be_active(
        self, connection: psycopg.AsyncConnection[Any], lease: Lease, stop: asyncio.Event | None
    ) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        await self._sending.begin(connection)
        publisher = await self._make_publisher()
        self._log.info("active")
        try:
            while stop is None or not stop.is_set():
                self.on_turn("relay")
                await lease.usable()
                more = await self._sending.turn(connection, publisher, lease.may_send)
                self._all_is_well()
                if not more and stop is None:
                    return
                if not more and stop is not None:
                    await self._wait(connection, stop)
        finally:
            with suppress(Transient):
                await publisher.close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await connect(self._conninfo, name="payments relay", autocommit=True, prepare_threshold=1)
                # A delete that a crash loses sends a message twice, which the topics allow; a lease that it loses is
                # taken anew. The relay writes nothing else but what it quarantines, and finds that again.
                for setting in ("synchronous_commit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                    await connection.execute(sql.SQL("SET {} = off").format(sql.Identifier(setting)))
        except TimeoutError:
            raise Transient(f"the database did not answer for {CONNECT_S:g} s") from None
        return connection

    async def _wait(self, connection: psycopg.AsyncConnection[Any], stop: asyncio.Event) -> None:
        """Wait for a notification, at most for the poll's period."""
        notified = asyncio.ensure_future(_next_notification(connection, self._poll_s))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({notified, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not notified.done():
            notified.cancel()
            with suppress(asyncio.CancelledError):
                await notified
            return
        notified.result()


async def _next_notification(connection: psycopg.AsyncConnection[Any], timeout_s: float) -> None:
    async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
        return


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until told to stop; return whether we were."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()

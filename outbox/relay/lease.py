"""Which relay sends: one row with a time-out, by the database's clock.

The holder's session keeps an advisory lock. When the session ends, another relay takes the lease at once. A frozen
holder, or one whose host is gone, keeps its session; it is replaced when the lease ends.

The holder renews the lease apart from sending. Before each request it asks its monotonic clock whether the lease
outlasts the request's deadline. That clock runs on while a process is stopped (SIGSTOP): a process that wakes up sends
nothing. It may stand still while a virtual machine is paused or a host sleeps. Such a holder learns the truth at its
next renewal; until then two relays may send. That causes duplicates only: each sends the lowest rows, so each sends the
events of an order in order.
"""

import asyncio
import os
import platform
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, LiteralString

import psycopg

from domain.errors import Transient

HELD: Final = 0.75
"""Share of the setting for which the row names the holder. In the rest another relay notices, connects and sends."""
DEADLINE: Final = 0.5
RENEWED: Final = 0.1
TRIED: Final = 0.05
GIVE_UP_S: Final = 1.0
LONGEST_S: Final = 600.0
"""No lease is longer, see the setting. If one ends later, the database's clock was set back after it was taken."""

_TAKE: LiteralString = """
    INSERT INTO relay_lease (holder, until) VALUES (%(holder)s, now() + make_interval(secs => %(held_s)s))
    ON CONFLICT (single) DO UPDATE SET holder = excluded.holder, until = excluded.until
     WHERE relay_lease.until <= now() OR relay_lease.holder = excluded.holder
        OR pg_try_advisory_xact_lock(hashtext('payments.relay ' || relay_lease.holder))
    RETURNING true"""
_FAR: LiteralString = """
    SELECT holder, until FROM relay_lease WHERE until > now() + make_interval(secs => %(longest_s)s)"""
_TAKE_FAR: LiteralString = """
    UPDATE relay_lease SET holder = %(holder)s, until = now() + make_interval(secs => %(held_s)s)
     WHERE holder = %(far_holder)s AND until = %(far_until)s RETURNING true"""
_SHOW: LiteralString = "SELECT pg_advisory_lock(hashtext('payments.relay ' || %(holder)s))"
_RENEW: LiteralString = """
    UPDATE relay_lease SET until = now() + make_interval(secs => %(held_s)s) WHERE holder = %(holder)s RETURNING true"""
_GIVE_UP: LiteralString = "UPDATE relay_lease SET until = now() WHERE holder = %(holder)s RETURNING true"


class LeaseLost(Transient):
    """Another relay sends now: stand by."""


def deadline_s(lease_s: float) -> float:
    """Return how long a request to Kafka may take: it then ends before another relay sends."""
    return DEADLINE * lease_s


def new_holder() -> str:
    """Make a name that no other relay has."""
    return f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """connection: for the lease alone, with autocommit. holder: see new_holder.

    lease_s: a frozen relay is replaced within it. on_lapse: called when the lease had ended before it was renewed and
    nobody else had taken it.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        holder: str,
        lease_s: float,
        on_lapse: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._parameters = {"holder": holder, "held_s": HELD * lease_s}
        self._lease_s = lease_s
        self._on_lapse = on_lapse
        self._until = 0.0
        self._shown = False
        self._far: tuple[str, object] | None = None
        self._far_since = 0.0
        self._renewed = asyncio.Event()

    @property
    def try_again_s(self) -> float:
        """Seconds until the next try to take it."""
        return TRIED * self._lease_s

    async def take(self) -> bool:
        """Take the lease if it is free; return whether we have it. A read only server refuses.

        Raises Transient if the database does not answer.
        """
        try:
            async with asyncio.timeout(self._lease_s):
                if not self._shown:
                    await self._connection.execute(_SHOW, self._parameters)
                    self._shown = True
                return await self._write(_TAKE) or await self._outlast_far()
        except TimeoutError:
            raise Transient("the database did not say in time whether the relay's lease is free") from None

    async def _outlast_far(self) -> bool:
        """Take a lease that ends impossibly late, once nobody has renewed it for the length of a lease."""
        cursor = await self._connection.execute(_FAR, {"longest_s": LONGEST_S})
        found, now = await cursor.fetchone(), asyncio.get_running_loop().time()
        if found is None or found != self._far:
            self._far, self._far_since = found, now
            return False
        if now - self._far_since < self._lease_s:
            return False
        holder, until = found
        return await self._write(_TAKE_FAR, far_holder=holder, far_until=until)

    def may_send(self) -> bool:
        """Tell whether the lease lasts for one more request."""
        return self._until - asyncio.get_running_loop().time() > deadline_s(self._lease_s)

    def is_over(self) -> bool:
        """Tell whether another relay may have the lease by now."""
        return asyncio.get_running_loop().time() >= self._until

    async def wait_until_usable(self) -> None:
        """Wait until the lease lasts for one more request."""
        while not self.may_send():
            self._renewed.clear()
            await self._renewed.wait()

    async def keep(self) -> None:
        """Renew until cancelled. Raises LeaseLost if another has it, Transient if the database does not answer."""
        while True:
            await asyncio.sleep(RENEWED * self._lease_s)
            try:
                async with asyncio.timeout(self._lease_s):
                    renewed = await self._write(_RENEW)
            except TimeoutError:
                raise Transient("the database did not renew the relay's lease in time") from None
            if not renewed:
                raise LeaseLost("another relay has the lease")
            self._renewed.set()

    async def give_up(self) -> None:
        """End the lease, so that another relay takes it at once. If that fails, the lease ends by itself."""
        self._until = 0.0
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                await self._connection.execute(_GIVE_UP, self._parameters)

    async def _write(self, statement: LiteralString, **also: object) -> bool:
        # We read our clock before the database reads its own, so the lease ends earlier for us.
        begun = asyncio.get_running_loop().time()
        cursor = await self._connection.execute(statement, {**self._parameters, **also})
        written = await cursor.fetchone() is not None
        if written:
            lapsed = statement is _RENEW and self.is_over()
            self._until = begun + HELD * self._lease_s
            if lapsed:
                self._on_lapse()
        return written

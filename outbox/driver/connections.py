"""The connections of the hot path: lent for one transaction, kept open between transactions.

Not SQLAlchemy's pool: with its asynchronous engine a transaction costs a quarter of a millisecond more (measured), as
much as twice its round trips. Not psycopg_pool: it does not say why no connection can be made.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, LiteralString

import orjson
import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from domain.errors import DownForEverybody
from outbox.driver.conninfo import NAME, connect, connect_as, conninfo_of
from outbox.driver.pooler import behind_pooler
from outbox.driver.row_waits import bound_row_waits
from outbox.driver.session import Session
from outbox.driver.sqlstates import Family, family_of

_SESSION: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    # The first plans are made while tables are empty and have no statistics. They might scan a whole table to join a
    # batch, and they are cached: ten times slower once there is data. With these settings a plan looks every element of
    # an array up in an index, which is right for every size.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("timezone", "UTC"),
    # Longer than lock_timeout, so that a wait for a lock ends with the error that names it.
    ("statement_timeout", "60000"),
    ("idle_in_transaction_session_timeout", "60000"),
    # Longer than any transaction of ours on a healthy server. Not longer: a transaction that waits keeps its own locks.
    ("lock_timeout", "5000"),
)
HOT_OPTIONS: Final = " ".join(f"-c {name}={value}" for name, value in _SESSION)
_SET_LOCAL: LiteralString = ", ".join([f"set_config('{name}', '{value}', true)" for name, value in _SESSION])
PRELUDE: LiteralString = f"SELECT {_SET_LOCAL}"
"""HOT_OPTIONS for one transaction: behind a pooler the session is not ours."""
BRIEF: LiteralString = "SET LOCAL lock_timeout = 500"
"""Somebody is known to hold a lock for long: wait for half a second only."""
ANSWER_MAX_S: Final = 120.0
"""If a transaction takes longer, the server stands still: statements and waits for locks end long before. Shorter than
the time after which a loop counts as stalled."""
ROLLBACK_MAX_S: Final = 5.0
_RENEWS: Final = frozenset({Family.OUTAGE, Family.STALE})
_NOT_OURS: Final = frozenset({"26000", "42P05"})
"""Errors of prepared statements behind a pooler. We did not notice it if it gives the server's process id."""


class Connections:
    """url: of the database. size: how many transactions run at once; further ones wait.

    Behind a pooler nothing is prepared, and nothing is set for a session (see `begin`). The first connection finds out
    whether there is one, as does the first after each outage.
    """

    def __init__(self, url: str, size: int, *, answer_max_s: float = ANSWER_MAX_S) -> None:
        set_json_loads(orjson.loads)
        self.url = url
        self.generation = 0
        """Grows when all connections are closed. What was learned over older ones may be about another server."""
        given = conninfo_to_dict(conninfo_of(url)).get("options") or ""
        self._options = f"{HOT_OPTIONS} {given}".rstrip()
        self._idle: list[Session] = []
        self._closed = False
        self._slots = asyncio.Semaphore(size)
        self._answer_max_s = answer_max_s
        self._pooled: bool | None = None
        self._log = structlog.get_logger("outbox.connections")

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Session]:
        """Lend a connection of this generation; what was not committed is rolled back.

        Raises what psycopg raises, and DownForEverybody if the server stands still. An outage on one connection closes
        all; lent ones are closed when they come back. If only a new connection fails, the others stay: a server with
        too many connections would give our places to others.
        """
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._make()
            generation = self.generation
            deadline = asyncio.timeout(self._answer_max_s)
            try:
                async with deadline:
                    try:
                        # Behind a pooler we do not know the server's session.
                        bound = nullcontext() if connection.pooled else bound_row_waits(connection, self.url)
                        async with bound:
                            yield connection
                    finally:
                        await self._take_back(connection, generation)
            except psycopg.Error as error:
                if family_of(error) in _RENEWS:
                    await self._renew(generation, careful=error.sqlstate in _NOT_OURS)
                raise
            except TimeoutError as error:
                if not deadline.expired():
                    raise
                await self._renew(generation)
                raise self._silent() from error

    async def close(self) -> None:
        """Close the idle connections now, and each lent one when it comes back."""
        self._closed = True
        await self._close_idle()

    async def _make(self) -> Session:
        """Make a connection; make another one if all were closed meanwhile."""
        while True:
            generation = self.generation
            try:
                async with asyncio.timeout(self._answer_max_s):
                    connection = await self._connect()
            except psycopg.Error:
                self._pooled = None  # there may be a pooler now
                raise
            except TimeoutError as error:
                raise self._silent() from error
            if generation == self.generation:
                return connection
            await connection.close()

    async def _connect(self) -> Session:
        if self._pooled is None:
            probe = await connect(self.url, name=NAME)
            try:
                self._pooled = await behind_pooler(probe)
            finally:
                await probe.close()
            if self._pooled:
                self._log.info("behind a pooler: nothing is prepared, and settings go with each transaction")
        if self._pooled:
            session = await connect_as(Session, self.url, name=NAME)
            session.pooled = True
            return session
        return await connect_as(Session, self.url, name=NAME, options=self._options)

    def _silent(self) -> DownForEverybody:
        return DownForEverybody(f"PostgreSQL has not answered for {self._answer_max_s:g} s")

    async def _take_back(self, connection: Session, generation: int) -> None:
        """Keep a connection for the next transaction, or close it if it is old or broken."""
        if generation == self.generation and connection.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                async with asyncio.timeout(ROLLBACK_MAX_S):
                    await connection.rollback()
            except (psycopg.Error, TimeoutError):
                await connection.close()
            except asyncio.CancelledError:
                # This was a second cancellation. Nobody else would close it.
                await connection.close()
                raise
        if generation == self.generation and not connection.closed and not self._closed:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _renew(self, generation: int, *, careful: bool = False) -> None:
        """Close all connections, unless they were closed since this one was made."""
        if generation == self.generation:
            self.generation += 1
            self._pooled = True if careful else None
            await self._close_idle()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()


async def begin(session: Session) -> None:
    """Give a new transaction our settings if its session belongs to a pooler."""
    if session.pooled:
        await session.execute(PRELUDE)


async def check_writable(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raise DownForEverybody if the server accepts no writes: it is a standby, or somebody made it read only.

    After a query this costs nothing: since PostgreSQL 14 the server reports a change with its next answer.
    """
    states = {connection.info.parameter_status(name) for name in ("default_transaction_read_only", "in_hot_standby")}
    if None in states:
        states = {value for (value,) in await (await connection.execute("SHOW transaction_read_only")).fetchall()}
    if states != {"off"}:
        raise DownForEverybody("PostgreSQL is read only: it is a standby, or an operator made it so")

"""The unit of work and the queries of the sweep, over PostgreSQL. The only place that opens a transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import psycopg

from domain.errors import Busy, Contended, DownForEverybody, Permanent, TooMuch, Transient, Unfit, Violated
from domain.ids import OrderId
from domain.order import Operation
from domain.ports.locks import Locks
from domain.ports.store import Claimed, DeadLetter, InboxUpkeep, Passed
from outbox.driver.connections import Connections, begin
from outbox.driver.conninfo import connect
from outbox.driver.sqlstates import Family, family_of, said
from outbox.journal import Journal, letter_origin
from outbox.schema import partitions
from outbox.schema.mapping import OPERATIONS
from outbox.store import locks, questions, statements
from outbox.store.learned import Learned
from outbox.store.searching import StuckSearch
from outbox.store.transaction import PgTransaction
from outbox.store.wire import FEW_MAX, Wire
from schemas.events import Event

REPEATS: Final = 100
"""Transactions after a repeated event that expect others: after a restart they come in numbers, else never."""
BRIEF_FOR_S: Final = 10.0
"""So long after somebody was looked for who holds a row, all transactions of the process wait for locks briefly."""
UPKEEP_MAX_S: Final = 60.0


class PostgresStore:
    """domain.ports.store.Store. encode: event to body. prefix: of topics. event_bytes_max: of an encoded body.

    upkeep_url: past a pooler, where there is one; by default that of the connections. few_max: a transaction of so many
    orders spares round trips, a larger one what many rows cost.
    """

    def __init__(
        self,
        connections: Connections,
        encode: Callable[[Event], bytes],
        *,
        prefix: str = "",
        event_bytes_max: int = 1_000_000,
        inbox_retention_days: int = 14,
        upkeep_url: str | None = None,
        few_max: int = FEW_MAX,
    ) -> None:
        self._connections = connections
        self._few_max = few_max
        self._retention_days = inbox_retention_days
        self._upkeep_url = upkeep_url or connections.url
        self._journal = Journal(encode, prefix, event_bytes_max)
        self._learned = Learned(connections.generation)
        self._repeats = 0
        self._brief_until = 0.0
        self._search: StuckSearch | None = None

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[PgTransaction]:
        """Open a transaction; commit at the end, roll back on any exception."""
        async with self._connection(contended=contended) as connection:
            began = asyncio.get_running_loop().time()
            learned = self._known()
            if learned.oldest is None:
                learned.oldest = await partitions.oldest_day(connection)
            # What belongs to a server is the transaction's own from here on: an outage meanwhile makes new ones.
            async with AsyncExitStack() as until_end:
                wire = Wire(connection, until_end, self._few_max, brief=began < self._brief_until)
                transaction = PgTransaction(
                    wire,
                    self._journal,
                    learned,
                    began=began,
                    oldest=learned.oldest,
                    contended=contended,
                    repeats=self._repeats > 0,
                )
                self._repeats = max(self._repeats - 1, 0)
                yield transaction
                await wire.pipeline()
                await transaction.finish()
                await connection.commit()
            transaction.remember()

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take due operations under a new lease."""
        # Waiting for a connection counts, too: better a shorter time to call than a longer one.
        until = asyncio.get_running_loop().time() + lease_s
        rows = await self._once(statements.CLAIM_DUE, [limit, lease_s])
        return [Claimed(OPERATIONS.load(row), row[-1], until) for row in rows]

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """End the lease of these operations."""
        if operations:
            self._learned.memory.forget([o.order_id for o in operations])
            leases = [(o.order_id, o.operation_id, o.due_at) for o in operations]
            await self._once(statements.GIVE_BACK.sql, statements.GIVE_BACK.arrays(leases))

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return [OrderId(row[0]) for row in await self._once(questions.LAPSED_HOLDS, [limit])]

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Search on for orders on which nobody works."""
        if self._search is None:
            self._search = StuckSearch()
        async with self._connection() as connection:
            return await self._search.turn(connection, unchanged_s, limit)

    async def delayed_orders(self, open_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders whose operation takes long, and whose customer was not told."""
        return [OrderId(row[0]) for row in await self._once(questions.DELAYED_ORDERS, [open_s, limit])]

    async def passed(self, group: str, topic: str, topic_id: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's word to pass over this offset."""
        rows = await self._once(questions.PASSED, [group, topic, topic_id, partition, offset, offset])
        return Passed(*rows[0]) if rows else None

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this very letter is kept already."""
        place = [letter.group, letter.topic, letter.partition, letter.offset, letter_origin(letter)]
        return bool(await self._once(questions.HAS_LETTER, place))

    async def locks(self, order_ids: Sequence[OrderId]) -> Locks:
        """Say who holds tables of ours, or else rows that these orders need."""
        async with self._connection() as connection:
            found = await locks.look(connection, order_ids)
        if not found.tables:
            # A table's lock is waited for in its queue; a row's is not worth what waits for us meanwhile.
            self._brief_until = asyncio.get_running_loop().time() + BRIEF_FOR_S
        return found

    async def end_frozen(self, unmoved_s: float) -> int:
        """End sessions of this module in which a process stands still; return how many."""
        return len(await self._once(questions.END_FROZEN, [unmoved_s]))

    async def maintain(self) -> InboxUpkeep:
        """Make inbox partitions ahead of time, drop those past their retention."""
        before = await self._inbox_days()
        if before.are_right(self._retention_days):
            return InboxUpkeep(0, 0, before.ahead, strange=tuple(before.strange))
        undone = await self._mend(before)
        after = await self._inbox_days()
        self._learned.oldest = None
        if after.are_right(self._retention_days):
            undone = ()  # another process did meanwhile what this one could not
        made, dropped = after.attached - before.attached, before.attached - after.attached
        return InboxUpkeep(len(made), len(dropped), after.ahead, tuple(undone), tuple(after.strange))

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def _mend(self, days: partitions.InboxDays) -> Sequence[str]:
        """Mend the inbox's days over a connection past the pooler; return what could not be done, a line each."""
        try:
            async with asyncio.timeout(UPKEEP_MAX_S):
                async with await connect(self._upkeep_url, name="payments upkeep", autocommit=True) as connection:
                    return await partitions.mend(connection, days, self._retention_days)
        except (psycopg.Error, TimeoutError) as error:
            return [said(error)]

    async def _inbox_days(self) -> partitions.InboxDays:
        async with self._connection() as connection:
            await begin(connection)
            days = await partitions.look(connection)
            await connection.commit()
            return days

    def _known(self) -> Learned:
        """Return what was learned over the connections of today."""
        if self._learned.generation != self._connections.generation:
            self._learned = Learned(self._connections.generation)
        return self._learned

    async def _once(self, query: Any, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            await begin(connection)
            cursor = await connection.cursor(binary=True).execute(query, parameters)
            rows = await cursor.fetchall() if cursor.description else []
            await connection.commit()
            return rows

    @asynccontextmanager
    async def _connection(self, *, contended: bool = False) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Lend a connection; turn the driver's errors into the families of the domain."""
        try:
            async with self._connections.lend() as connection:
                yield connection
        except psycopg.Error as error:
            raise self._in_domain(error, contended=contended) from error

    def _in_domain(self, error: psycopg.Error, *, contended: bool) -> Exception:
        """Say what an error means to the runtime."""
        if isinstance(error, psycopg.errors.CheckViolation):
            return self._check_violated(error.diag.constraint_name, contended=contended)
        match family_of(error):
            case Family.LOST_RACE:
                if (error.diag.table_name or "").startswith("inbox"):
                    self._repeats = REPEATS
                family = Violated if isinstance(error, psycopg.errors.UniqueViolation) else Contended
                return family(f"another transaction won: {error.diag.constraint_name or error.sqlstate}")
            case Family.STALE:
                return Contended(f"sessions are made anew: {said(error)}")
            case Family.BUSY:
                return Busy(f"PostgreSQL is busy: {said(error)}")
            case Family.TOO_MUCH:
                return TooMuch(f"PostgreSQL gave up: {said(error)}")
            case Family.OUTAGE:
                return DownForEverybody(f"PostgreSQL does not answer as it should: {said(error)}")
            case Family.MESSAGE | Family.BUG:
                return _fault(error)

    def _check_violated(self, constraint: str | None, *, contended: bool) -> Transient:
        """Judge a check: another transaction won, unless the same is broken again and again."""
        if constraint is not None:
            return Violated(f"another transaction won: {constraint}")
        # A day without a partition: dropped by another process since we asked for the oldest, or not made yet.
        self._learned.oldest = None
        if contended:
            return Transient("the inbox has no partition for a day: `payments sweep` makes and keeps them")
        return Contended("the inbox lacks the partition of a day")


def _fault(error: psycopg.Error) -> Exception:
    """Say whether one message is to blame, or the release."""
    # Class 23: a rule of a table is broken. What was decided is wrong for this one message, not for everybody.
    if family_of(error) is Family.MESSAGE or (error.sqlstate or "").startswith("23"):
        words = error.diag.message_primary or said(error)
        return Permanent(f"PostgreSQL cannot store this ({type(error).__name__}): {words}")
    return Unfit(f"PostgreSQL refuses a statement of this release: {said(error)}")

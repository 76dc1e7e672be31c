"""The unit of work and the queries of the sweep, over PostgreSQL. The only place that opens a transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import date
from typing import Any, Final

import psycopg

from domain.errors import Contended, DownForEverybody, Transient
from domain.ids import OrderId
from domain.order import Operation
from domain.ports.store import Claimed, DeadLetter, Passed
from outbox import statements
from outbox.connections import Connections
from outbox.journal import Journal, letter_origin
from outbox.memory import OrderMemory
from outbox.numbers import OrderNumbers
from outbox.partitions import maintain, oldest_day
from outbox.rows import operation_from
from outbox.searching import StuckSearch
from outbox.transaction import PgTransaction
from schemas.events import Event

_LOST_RACES: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)

REPEATS: Final = 100
"""Transactions after a repeated event that expect others: after a restart they come in numbers, else never."""


class PostgresStore:
    """domain.ports.store.Store. encode: event to body. prefix: of topics. event_bytes_max: of an encoded body."""

    def __init__(
        self,
        connections: Connections,
        encode: Callable[[Event], bytes],
        *,
        prefix: str = "",
        event_bytes_max: int = 1_000_000,
        inbox_retention_days: int = 14,
    ) -> None:
        self._connections = connections
        self._retention_days = inbox_retention_days
        self._journal = Journal(encode, prefix, event_bytes_max)
        self._oldest: date | None = None
        self._memory = OrderMemory()
        self._order_numbers = OrderNumbers()
        self._repeats = 0
        self._search: StuckSearch | None = None

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False, few: bool = False) -> AsyncIterator[PgTransaction]:
        """Open a transaction; commit at the end, roll back on any exception."""
        async with self._connection(contended=contended) as connection:
            began = asyncio.get_running_loop().time()
            oldest = self._oldest or await self._refresh(connection)
            transaction = PgTransaction(
                connection,
                self._journal,
                self._memory,
                self._order_numbers,
                began=began,
                oldest=oldest,
                contended=contended,
                repeats=self._repeats > 0,
                few=few,
            )
            self._repeats = max(self._repeats - 1, 0)
            async with connection.pipeline() if few else nullcontext():
                yield transaction
                async with nullcontext() if few else connection.pipeline():
                    await transaction.finish()
                    await connection.commit()
            transaction.remember()

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take due operations under a new lease."""
        # Waiting for a connection counts, too: better a shorter time to call than a longer one.
        until = asyncio.get_running_loop().time() + lease_s
        rows = await self._once(statements.CLAIM_DUE, [limit, lease_s])
        return [Claimed(operation_from(row), row[-1], until) for row in rows]

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """End the lease of these operations."""
        if operations:
            self._memory.forget([o.order_id for o in operations])
            leases = [(o.order_id, o.operation_id, o.due_at) for o in operations]
            await self._once(statements.GIVE_BACK.sql, statements.GIVE_BACK.arrays(leases))

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return [OrderId(row[0]) for row in await self._once(statements.LAPSED_HOLDS, [limit])]

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Search on for orders on which nobody works."""
        if self._search is None:
            self._search = StuckSearch()
        async with self._connection() as connection:
            return await self._search.turn(connection, unchanged_s, limit)

    async def delayed_orders(self, open_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders whose operation takes long, and whose customer was not told."""
        return [OrderId(row[0]) for row in await self._once(statements.DELAYED_ORDERS, [open_s, limit])]

    async def passed(self, group: str, topic: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's word to pass over this offset."""
        rows = await self._once(statements.PASSED, [group, topic, partition, offset, offset])
        return Passed(*rows[0]) if rows else None

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this very letter is kept already."""
        place = [letter.group, letter.topic, letter.partition, letter.offset, letter_origin(letter)]
        return bool(await self._once(statements.HAS_LETTER, place))

    async def maintain(self) -> None:
        """Make inbox partitions ahead of time, drop those past their retention."""
        async with self._connection() as connection:
            await maintain(connection, self._retention_days)
            await connection.commit()
        self._oldest = None

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def _refresh(self, connection: psycopg.AsyncConnection[Any]) -> date:
        self._oldest = await oldest_day(connection)
        return self._oldest

    async def _once(self, query: Any, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
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
        except psycopg.errors.CheckViolation as error:
            if error.diag.constraint_name is not None:
                raise Contended(f"another transaction won: {error.diag.constraint_name}") from error
            # A day without a partition: dropped by another process since we asked for the oldest, or not made yet.
            self._oldest = None
            if contended:
                raise Transient(
                    "the inbox has no partition for a day: `payments sweep` makes and keeps them"
                ) from error
            raise Contended("the inbox lacks the partition of a day") from error
        except _LOST_RACES as error:
            if (error.diag.table_name or "").startswith("inbox"):
                self._repeats = REPEATS
            raise Contended(f"another transaction won: {error.diag.constraint_name or error.sqlstate}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._memory.clear()
            self._order_numbers.clear()
            raise DownForEverybody(f"PostgreSQL does not answer: {str(error).splitlines()[0]}") from error

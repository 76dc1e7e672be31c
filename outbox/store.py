"""The unit of work and the queries of the sweep, over PostgreSQL. The only place that opens a transaction."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import date
from typing import Any, Final

import psycopg

from domain.errors import Contended, DownForEverybody, Permanent, Transient, Unfit, Violated
from domain.ids import OperationId, OrderId
from domain.ports.store import Claimed
from outbox import statements
from outbox.connections import Connections
from outbox.journal import Journal
from outbox.memory import OrderMemory
from outbox.numbers import OrderNumbers
from outbox.partitions import maintain, oldest_day
from outbox.rows import operation_from
from outbox.transaction import PgTransaction
from schemas.events import Event

_LOST_RACES: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)

_UNSTORABLE: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyColumns,
    psycopg.errors.TooManyArguments,
)
"""SQLSTATE classes 22, 23 (but for the races above) and 54: what was to be written is to blame, not the database."""

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

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False, few: bool = False) -> AsyncIterator[PgTransaction]:
        """Open a transaction; commit at the end, roll back on any exception."""
        async with self._connection(contended=contended) as connection:
            oldest = self._oldest or await self._refresh(connection)
            transaction = PgTransaction(
                connection,
                self._journal,
                self._memory,
                self._order_numbers,
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
        rows = await self._once(statements.CLAIM_DUE, [limit, lease_s])
        return [Claimed(operation_from(row), row[-1]) for row in rows]

    async def give_back(self, operations: Sequence[tuple[OrderId, OperationId]]) -> None:
        """End the lease of these operations."""
        if operations:
            order_ids, ids = [list(column) for column in zip(*operations, strict=True)]
            self._memory.forget(order_ids)
            await self._once(statements.GIVE_BACK, [order_ids, ids])

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return [OrderId(row[0]) for row in await self._once(statements.LAPSED_HOLDS, [limit])]

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders on which nobody works."""
        return [OrderId(row[0]) for row in await self._once(statements.STUCK_ORDERS, [unchanged_s, limit])]

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
        try:
            self._oldest = await oldest_day(connection)
        except LookupError as error:
            raise Unfit(str(error)) from error
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
                raise Violated(f"another transaction won: {error.diag.constraint_name}") from error
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
            family = Violated if isinstance(error, psycopg.errors.UniqueViolation) else Contended
            raise family(f"another transaction won: {error.diag.constraint_name or error.sqlstate}") from error
        except _UNSTORABLE as error:
            words = error.diag.message_primary or str(error).partition("\n")[0]
            raise Permanent(f"PostgreSQL cannot store this ({type(error).__name__}): {words}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._memory.clear()
            self._order_numbers.clear()
            raise DownForEverybody(f"PostgreSQL does not answer: {str(error).splitlines()[0]}") from error
        except psycopg.Error as error:
            raise Unfit(f"PostgreSQL refuses a statement of this release: {str(error).splitlines()[0]}") from error

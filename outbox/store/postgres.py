"""The unit of work and the queries of the sweep, over PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from domain.errors import Busy
from domain.ids import OrderId
from domain.operation import Operation
from domain.ports.locks import Locks
from domain.ports.metering import StoreMeter
from domain.ports.store import Claimed
from domain.ports.upkeep import InboxUpkeep
from outbox.driver.connections import Connections
from outbox.journal.rows import RowEncoder
from outbox.schema.mapping import OPERATIONS
from outbox.store import claiming, locks, statements
from outbox.store.asking import PgQuestions
from outbox.store.faults import is_repeated_event, lacks_day
from outbox.store.learned import Learned
from outbox.store.letter_tokens import PgKeptLetters
from outbox.store.messages import PgMessages
from outbox.store.notices import PgNotices
from outbox.store.searching import StuckSearch
from outbox.store.transaction import PgTransaction
from outbox.store.upkeep import Upkeep
from outbox.store.wire import FEW_MAX, Wire
from schemas.events import Event

REPEATS: Final = 100
"""After one duplicate, expect more for this many transactions: duplicates come in bursts after a restart."""
BRIEF_FOR_S: Final = 10.0
"""After a search for who locks rows, all transactions of the process wait for locks briefly for so long."""


class PostgresStore(PgQuestions):
    """domain.ports.store.Store. encode: event to body. prefix: of topics. event_bytes_max: of an encoded body.

    upkeep_url: not through a pooler; by default that of the connections. few_max: a transaction of at most so many
    orders is written with few round trips, a larger one at little cost per row. send_messages: what customers are to be
    told is put into the table of messages, for whoever sends them. meter: hears of committed transactions.
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
        send_messages: bool = False,
        meter: StoreMeter | None = None,
    ) -> None:
        super().__init__(connections)
        self.notices = PgNotices(connections)
        self.messages = PgMessages(connections, inbox_retention_days)
        self.letters = PgKeptLetters(connections)
        self._send_messages = send_messages
        self._meter = meter
        self._few_max = few_max
        self._upkeep = Upkeep(upkeep_url or connections.url, inbox_retention_days)
        self._encoder = RowEncoder(encode, prefix, event_bytes_max)
        self._learned = Learned(connections.generation)
        self._repeats = 0
        self._brief_until = 0.0
        self._search: StuckSearch | None = None

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[PgTransaction]:
        """Open a transaction; commit at the end, roll back on any exception."""
        async with self._connection(contended=contended) as connection:
            began = asyncio.get_running_loop().time()
            learned = self._current()
            oldest = await learned.oldest_day(connection)
            # The transaction keeps `learned` to its end. An outage meanwhile replaces it for later transactions.
            wire = Wire(connection, self._few_max, brief=began < self._brief_until)
            repeats, self._repeats = self._repeats > 0, max(self._repeats - 1, 0)
            transaction = PgTransaction(
                wire,
                self._encoder,
                learned,
                began=began,
                oldest=oldest,
                contended=contended,
                repeats=repeats,
                send_messages=self._send_messages,
            )
            yield transaction
            async with wire.to_end():
                await transaction.finish()
            transaction.remember()
        if self._meter is not None:
            seconds = asyncio.get_running_loop().time() - began
            self._meter.committed(transaction.record.written(transaction.now, seconds))

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take due operations under a new lease."""
        # The wait for a connection counts too, so that our end of the lease is never after the database's.
        until = asyncio.get_running_loop().time() + lease_s
        async with self._connection() as session:
            reach, now = self._current().at_gateway, asyncio.get_running_loop().time()
            rows = await claiming.claim_due(session, reach, limit, lease_s, now)
        return [Claimed(OPERATIONS.load(row), row[-1], until) for row in rows]

    async def claim_stock_calls(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take due operations at an inventory elsewhere under a new lease."""
        until = asyncio.get_running_loop().time() + lease_s
        async with self._connection() as session:
            reach, now = self._current().at_inventory, asyncio.get_running_loop().time()
            rows = await claiming.claim_stock_calls(session, reach, limit, lease_s, now)
        return [Claimed(OPERATIONS.load(row), row[-1], until) for row in rows]

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """End the lease of these operations."""
        if operations:
            self._learned.memory.forget([o.order_id for o in operations])
            leases = [(o.order_id, o.operation_id, o.due_at) for o in operations]
            await self._once(statements.GIVE_BACK.sql, statements.GIVE_BACK.arrays(leases))

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Continue the search for orders on which nobody works."""
        if self._search is None:
            self._search = StuckSearch()
        async with self._connection() as connection:
            return await self._search.turn(connection, unchanged_s, limit)

    async def locks(self, order_ids: Sequence[OrderId]) -> Locks:
        """Return who locks tables of ours, or else rows that these orders need."""
        async with self._connection() as connection:
            found = await locks.find_locks(connection, order_ids)
        if not found.tables:
            # Brief waits help with rows only. For a table we must keep our place in its queue of waiters.
            self._brief_until = asyncio.get_running_loop().time() + BRIEF_FOR_S
        return found

    async def with_holder(self, busy: Busy) -> Busy:
        """Return the error with who holds the row that was waited for."""
        cause = busy.__cause__
        if not isinstance(cause, psycopg.Error) or not busy.at_row:
            return busy
        async with self._connection() as connection:
            return await locks.name_holder(connection, busy, cause.diag.context or "")

    async def maintain(self) -> InboxUpkeep:
        """Make inbox partitions ahead of time, drop those beyond the retention."""
        done = await self._upkeep.run(self._connection)
        self._learned.oldest = None
        return done

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    def _current(self) -> Learned:
        """Return what was learned over the present connections."""
        if self._learned.generation != self._connections.generation:
            self._learned = Learned(self._connections.generation)
        return self._learned

    def _learn(self, error: psycopg.Error) -> None:
        """Adapt what the next transactions expect to an error."""
        if is_repeated_event(error):
            self._repeats = REPEATS
        elif lacks_day(error):
            self._learned.oldest = None

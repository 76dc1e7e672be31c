"""What every check gets: a connection to one snapshot, the scope, and the findings by invariant."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal

from outbox.audit.report import VIOLATIONS_KEPT_MAX, Findings
from schemas.codec import Codec

FETCH: Final = 5_000
"""Rows of a long answer that are in memory at a time."""
_NARROWED: Final[tuple[LiteralString, ...]] = (
    "attempt",
    "operation",
    "reservation",
    "order_request",
    "dispute",
    "event",
)
"""Tables whose rows are found by their order's number. Those of `orders` are found by its id: it has no other index."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The deployment that is audited. prefix: of its topics. groups: event type to the consumer group of its reaction.

    groups have the names of the inbox, without the prefix of Kafka's group names.
    """

    codec: Codec
    groups: Mapping[str, str]
    prefix: str = ""


class First(NamedTuple):
    """The first rows of an answer, and how many it has."""

    rows: Sequence[TupleRow]
    times: int


@dataclass(frozen=True, slots=True)
class Books:
    """Our books: one snapshot of the database, and what was found in it.

    orders: those that it is about, their ids by number; None: all. Then the same queries see the rows of these alone.
    """

    connection: psycopg.AsyncConnection[TupleRow]
    scope: Scope
    findings: Mapping[int, Findings] = field(default_factory=lambda: {n: Findings(n) for n in range(1, 12)})
    orders: Mapping[int, str] | None = None

    async def rows(self, query: LiteralString | Composed, parameters: Sequence[Any] = ()) -> list[TupleRow]:
        """Run a query with a short answer; return its rows."""
        return await (await self.connection.execute(self._narrow(query), parameters or None)).fetchall()

    async def first(self, query: LiteralString, parameters: Sequence[Any] = ()) -> First:
        """Run a query for violations, which may be very many: return the first of its rows, and how many there are."""
        counted = SQL("SELECT found.*, count(*) OVER () FROM ({}) AS found LIMIT {}")
        asked = counted.format(SQL(query), Literal(VIOLATIONS_KEPT_MAX))
        rows = await self.rows(asked, parameters)
        return First([row[:-1] for row in rows], rows[0][-1] if rows else 0)

    async def stream(
        self, stack: AsyncExitStack, query: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.AsyncServerCursor[TupleRow]:
        """Run a query with a long answer, read FETCH rows at a time; the stack closes it."""
        cursor = await stack.enter_async_context(self.connection.cursor(name="audit", binary=True))
        cursor.itersize = FETCH
        await cursor.execute(self._narrow(query), parameters)
        return cursor

    def _narrow(self, query: LiteralString | Composed) -> LiteralString | Composed:
        """Let a query see the rows of these orders alone: names of WITH hide tables of the same name."""
        if self.orders is None:
            return query
        ids, numbers = Literal(list(self.orders.values())), Literal(list(self.orders))
        tables = [SQL("orders AS (SELECT * FROM orders WHERE order_id = ANY({}))").format(ids)]
        tables += [
            SQL("{0} AS (SELECT * FROM {0} WHERE order_number = ANY({1}))").format(SQL(table), numbers)
            for table in _NARROWED
        ]
        asked = query if isinstance(query, Composed) else SQL(query)
        return SQL("WITH ") + SQL(", ").join(tables) + SQL(" SELECT * FROM (") + asked + SQL(") AS asked")

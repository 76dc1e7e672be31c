"""What every check gets: a connection to one snapshot, the scope, and the findings by invariant."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from outbox.audit.report import Findings
from schemas.codec import Codec

FETCH: Final = 5_000
"""Rows of a long answer that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The deployment that is audited. prefix: of its topics. groups: event type to the consumer group of its reaction.

    groups have the names of the inbox, without the prefix of Kafka's group names.
    """

    codec: Codec
    groups: Mapping[str, str]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """Our books: one snapshot of the database, and what was found in it."""

    connection: psycopg.AsyncConnection[TupleRow]
    scope: Scope
    findings: Mapping[int, Findings] = field(default_factory=lambda: {n: Findings(n) for n in range(1, 12)})

    async def rows(self, query: LiteralString | Composed, parameters: Sequence[Any] = ()) -> list[TupleRow]:
        """Run a query with a short answer; return its rows."""
        return await (await self.connection.execute(query, parameters or None)).fetchall()

    async def stream(
        self, stack: AsyncExitStack, query: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.AsyncServerCursor[TupleRow]:
        """Run a query with a long answer, read FETCH rows at a time; the stack closes it."""
        cursor = await stack.enter_async_context(self.connection.cursor(name="audit", binary=True))
        cursor.itersize = FETCH
        await cursor.execute(query, parameters)
        return cursor

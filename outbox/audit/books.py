"""What every check is given: the snapshot's connection, the scope, and the findings by invariant."""

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
"""Rows of a large answer held at a time."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The deployment that is audited. prefix: of its topics. groups: event type to the consumer group of its reaction.

    groups are named as the inbox names them, without the prefix that Kafka's group names have.
    """

    codec: Codec
    groups: Mapping[str, str]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """One snapshot, and what was found in it."""

    connection: psycopg.AsyncConnection[TupleRow]
    scope: Scope
    findings: Mapping[int, Findings] = field(default_factory=lambda: {n: Findings(n) for n in range(1, 12)})

    def about(self, invariant: int) -> Findings:
        """Return the findings about this invariant."""
        return self.findings[invariant]

    async def rows(self, query: LiteralString | Composed, parameters: Sequence[Any] = ()) -> list[TupleRow]:
        """Ask for a short answer."""
        return await (await self.connection.execute(query, parameters or None)).fetchall()

    async def stream(
        self, stack: AsyncExitStack, query: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.AsyncServerCursor[TupleRow]:
        """Ask for a long answer, read FETCH rows at a time; closed with the stack."""
        cursor = await stack.enter_async_context(self.connection.cursor(name="audit", binary=True))
        cursor.itersize = FETCH
        await cursor.execute(query, parameters)
        return cursor

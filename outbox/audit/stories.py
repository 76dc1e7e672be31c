"""The story of an order: everything that happened to it but ids, times and amounts.

Orders with the same story are judged together: half a million have some dozens of stories, so that
the questions about a single order cost next to nothing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, LiteralString, NamedTuple

from domain.operation import UNFINISHED, OperationKind, OperationState
from domain.order import HoldState, Status
from outbox.audit.books import Books
from outbox.store.quarantine import IN_QUARANTINE

EXAMPLES: Final = 20
"""Orders named for each story that breaks an invariant; the others are counted."""

_STORIES: Final[LiteralString] = f"""
    WITH told AS (
      SELECT order_id, string_agg(concat_ws(' ', order_version, ordinal,
               CASE WHEN starts_with(topic, %(prefix)s) THEN substr(topic, length(%(prefix)s) + 1) ELSE '?' END),
               ',' ORDER BY order_version, ordinal) AS events
        FROM event WHERE order_version > 0 GROUP BY order_id),
    tried AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, authorized_minor > 0, captured_minor > 0, refunded_minor > 0,
               captured_minor > refunded_minor, voided), ',' ORDER BY attempt) AS attempts
        FROM attempt GROUP BY order_id),
    asked AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, kind, state, coalesce(detail = 'lapsed', false)),
               ',' ORDER BY opened_at, attempt, kind, try_number) AS operations
        FROM operation GROUP BY order_id),
    kept AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, state, pinned), ',' ORDER BY attempt) AS holds
        FROM reservation GROUP BY order_id)
    SELECT o.status, o.version, o.attempt, o.total_minor = 0, o.reviewed, o.review_reason IS NOT NULL,
           order_id IN ({IN_QUARANTINE}),
           told.events, tried.attempts, asked.operations, kept.holds,
           count(*), (array_agg(order_id))[1:%(examples)s]
      FROM orders o FULL JOIN told USING (order_id) FULL JOIN tried USING (order_id)
           FULL JOIN asked USING (order_id) FULL JOIN kept USING (order_id)
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"""  # noqa: S608 - literals only


class Told(NamedTuple):
    """One journal row of the order."""

    version: int
    ordinal: int
    type: str


class Try(NamedTuple):
    """What became of the money of one attempt. keeps: captured and not given back."""

    attempt: int
    authorized: bool
    captured: bool
    refunded: bool
    keeps: bool
    voided: bool


class Asked(NamedTuple):
    """One operation, in the order of their opening."""

    attempt: int
    kind: OperationKind
    state: OperationState
    lapsed: bool

    @property
    def unfinished(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in UNFINISHED


class Held(NamedTuple):
    """The hold of one attempt."""

    attempt: int
    state: HoldState
    pinned: bool


@dataclass(frozen=True, slots=True)
class Story:
    """status is None when rows speak of an order that has no row of its own; the other fields are void then.

    waits: it is in quarantine, and stands where it stands until an operator lets it go on.
    """

    status: Status | None
    version: int
    attempt: int
    free: bool
    reviewed: Status | None
    has_reason: bool
    waits: bool
    events: tuple[Told, ...]
    attempts: tuple[Try, ...]
    operations: tuple[Asked, ...]
    holds: tuple[Held, ...]

    @property
    def effective(self) -> Status | None:
        """The status, or under review the one from before."""
        return self.reviewed if self.status is Status.MANUAL_REVIEW and self.reviewed else self.status

    def decisions(self) -> list[tuple[int, tuple[str, ...]]]:
        """Return the event types of every version, in the order of their ordinals."""
        return [
            (version, tuple(told.type for told in group))
            for version, group in groupby(self.events, lambda t: t.version)
        ]

    def count(self, event_type: str) -> int:
        """Return how many events of this type the order has."""
        return sum(told.type == event_type for told in self.events)

    def asked(self, attempt: int, kind: OperationKind) -> tuple[Asked, ...]:
        """Return the operations of this kind for this attempt."""
        return tuple(o for o in self.operations if o.attempt == attempt and o.kind is kind)

    def hold(self, attempt: int) -> Held | None:
        """Return the hold of this attempt."""
        return next((h for h in self.holds if h.attempt == attempt), None)


class Chapter(NamedTuple):
    """A story, how many orders have it, and some of them."""

    story: Story
    orders: int
    examples: Sequence[str]


async def stories(books: Books) -> AsyncIterator[Chapter]:
    """Tell every story once."""
    async with AsyncExitStack() as stack:
        parameters = {"prefix": books.scope.prefix, "examples": EXAMPLES}
        async for row in await books.stream(stack, _STORIES, parameters):
            *fields, events, attempts, operations, holds, orders, examples = row
            yield Chapter(_story(fields, events, attempts, operations, holds), orders, sorted(examples))


def _story(
    fields: Sequence[Any], events: str | None, attempts: str | None, operations: str | None, holds: str | None
) -> Story:
    status, version, attempt, free, reviewed, has_reason, waits = fields
    return Story(
        status=Status(status) if status else None,
        version=version or 0,
        attempt=attempt or 0,
        free=bool(free),
        reviewed=Status(reviewed) if reviewed else None,
        has_reason=bool(has_reason),
        waits=bool(waits),
        events=tuple(Told(int(v), int(n), event_type) for v, n, event_type in _cells(events)),
        attempts=tuple(Try(int(n), *(flag == "t" for flag in flags)) for n, *flags in _cells(attempts)),
        operations=tuple(
            Asked(int(n), OperationKind(kind), OperationState(state), lapsed == "t")
            for n, kind, state, lapsed in _cells(operations)
        ),
        holds=tuple(Held(int(n), HoldState(state), pinned == "t") for n, state, pinned in _cells(holds)),
    )


def _cells(text: str | None) -> list[list[str]]:
    return [part.split(" ") for part in text.split(",")] if text else []

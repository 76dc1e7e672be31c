"""The profile of an order: everything that happened to it, without ids, times and amounts.

Orders with the same profile are judged together. Half a million orders have some dozens of profiles, so judging them
costs next to nothing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Final, LiteralString, NamedTuple

from domain.closing import ELSEWHERE
from domain.operation import UNFINISHED, OperationKind, OperationState
from domain.order import HoldState, Status
from outbox.audit.books import Books
from outbox.store.quarantine import IN_QUARANTINE

EXAMPLES: Final = 20
"""Orders named for each profile that breaks an invariant; further ones are only counted."""

_TAKEN: Final[LiteralString] = (
    "'capture_refused', 'authorization_expired', 'items_unavailable', 'reservation_lapsed', 'cancelled_by_operator'"
)
"""Failure codes of attempts that may have failed after PaymentAuthorized. With any other code an approval, if one came,
was not taken but given back."""
_NEXT: Final[LiteralString] = "chr(31)"
_UNIT: Final = "\x1f"
"""Between the parts of a profile's text: a character that no part has. A part that is null is empty."""
_PROFILES: Final[LiteralString] = f"""
    WITH event_cells AS (
      SELECT order_id, string_agg(order_version || ' ' || ordinal || ' ' ||
               CASE WHEN starts_with(topic, %(prefix)s) THEN substr(topic, length(%(prefix)s) + 1) ELSE '?' END,
               ',' ORDER BY order_version, ordinal) AS events
        FROM event WHERE order_version > 0 GROUP BY order_id),
    attempt_cells AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, authorized_minor > 0, captured_minor > 0,
               refunded_minor > 0, captured_minor > refunded_minor, voided,
               coalesce(failure_code NOT IN ({_TAKEN}), false), action_expires_at IS NOT NULL),
               ',' ORDER BY attempt) AS attempts
        FROM attempt GROUP BY order_id),
    operation_cells AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, kind, state, coalesce(detail = 'lapsed', false),
               coalesce(starts_with(detail, '{ELSEWHERE}'), false)),
               ',' ORDER BY opened_at, attempt, kind, try_number) AS operations
        FROM operation GROUP BY order_id),
    hold_cells AS (
      SELECT order_id, string_agg(concat_ws(' ', attempt, state, pinned), ',' ORDER BY attempt) AS holds
        FROM reservation GROUP BY order_id),
    request_cells AS (
      SELECT order_id, bool_or(kind = 'cancel' AND state IN ('waiting', 'taken', 'done')) AS cancelling
        FROM order_request GROUP BY order_id)
    SELECT concat(o.status, {_NEXT}, o.version, {_NEXT}, o.attempt, {_NEXT}, o.total_minor = 0, {_NEXT},
                  o.reviewed, {_NEXT}, o.review_reason IS NOT NULL, {_NEXT}, order_id IN ({IN_QUARANTINE}), {_NEXT},
                  request_cells.cancelling, {_NEXT}, event_cells.events, {_NEXT}, attempt_cells.attempts, {_NEXT},
                  operation_cells.operations, {_NEXT}, hold_cells.holds),
           count(*), (array_agg(order_id))[1:%(examples)s]
      FROM orders o FULL JOIN event_cells USING (order_id)
           FULL JOIN attempt_cells USING (order_id)
           FULL JOIN operation_cells USING (order_id)
           FULL JOIN hold_cells USING (order_id)
           LEFT JOIN request_cells USING (order_id)
     GROUP BY 1 ORDER BY 1"""  # noqa: S608 - literals only
"""All is one text, so that orders are grouped by a hash of it: by twelve columns the planner expects too many groups,
and sorts a million long rows."""


class EventSummary(NamedTuple):
    """One journal row of the order."""

    version: int
    ordinal: int
    type: str


class AttemptSummary(NamedTuple):
    """The money of one attempt. keeps: captured and not refunded. not_taken: an approval of it was only given back.

    asked: the customer had to confirm it with their bank.
    """

    attempt: int
    authorized: bool
    captured: bool
    refunded: bool
    keeps: bool
    voided: bool
    not_taken: bool
    asked: bool


class OperationSummary(NamedTuple):
    """One operation, in the order of their opening. elsewhere: somebody else gave the money back, or a part of it."""

    attempt: int
    kind: OperationKind
    state: OperationState
    lapsed: bool
    elsewhere: bool

    @property
    def unfinished(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in UNFINISHED


class HoldSummary(NamedTuple):
    """The hold of one attempt."""

    attempt: int
    state: HoldState
    pinned: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """status: None if there are rows about an order that has no row of its own; the other fields mean nothing then.

    waits: it is in quarantine until an operator releases it. cancelling: a cancel is noted on it, or was carried out.
    """

    status: Status | None
    version: int
    attempt: int
    free: bool
    reviewed: Status | None
    has_reason: bool
    waits: bool
    cancelling: bool
    events: tuple[EventSummary, ...]
    attempts: tuple[AttemptSummary, ...]
    operations: tuple[OperationSummary, ...]
    holds: tuple[HoldSummary, ...]

    @property
    def effective(self) -> Status | None:
        """The status; under review, the status before the review."""
        return self.reviewed if self.status is Status.MANUAL_REVIEW and self.reviewed else self.status

    def decisions(self) -> list[tuple[int, tuple[str, ...]]]:
        """Return the event types of every version, in the order of their ordinals."""
        return [
            (version, tuple(event.type for event in events))
            for version, events in groupby(self.events, lambda event: event.version)
        ]

    def count(self, event_type: str) -> int:
        """Return how many events of this type the order has."""
        return sum(event.type == event_type for event in self.events)

    def operations_of(self, attempt: int, kind: OperationKind) -> tuple[OperationSummary, ...]:
        """Return the operations of this kind for this attempt."""
        return tuple(o for o in self.operations if o.attempt == attempt and o.kind is kind)

    def hold(self, attempt: int) -> HoldSummary | None:
        """Return the hold of this attempt."""
        return next((h for h in self.holds if h.attempt == attempt), None)


class ProfileGroup(NamedTuple):
    """A profile, how many orders have it, and some of them."""

    profile: Profile
    orders: int
    examples: Sequence[str]


async def read_profiles(books: Books, examples: int = EXAMPLES) -> AsyncIterator[ProfileGroup]:
    """Yield every profile once, with so many of its orders at the most."""
    async with AsyncExitStack() as stack:
        parameters = {"prefix": books.scope.prefix, "examples": examples}
        async for row in await books.stream(stack, _PROFILES, parameters):
            text, orders, some = row
            yield ProfileGroup(read_profile(text), orders, sorted(some))


def read_profile(text: str) -> Profile:
    """Read a profile from the text of the query."""
    status, version, attempt, free, reviewed, has_reason, waits, cancelling, *cells = text.split(_UNIT)
    events, attempts, operations, holds = cells
    return Profile(
        status=Status(status) if status else None,
        version=int(version or 0),
        attempt=int(attempt or 0),
        free=free == "t",
        reviewed=Status(reviewed) if reviewed else None,
        has_reason=has_reason == "t",
        waits=waits == "t",
        cancelling=cancelling == "t",
        events=tuple(EventSummary(int(v), int(n), event_type) for v, n, event_type in _cells(events)),
        attempts=tuple(AttemptSummary(int(n), *(flag == "t" for flag in flags)) for n, *flags in _cells(attempts)),
        operations=tuple(
            OperationSummary(int(n), OperationKind(kind), OperationState(state), lapsed == "t", elsewhere == "t")
            for n, kind, state, lapsed, elsewhere in _cells(operations)
        ),
        holds=tuple(HoldSummary(int(n), HoldState(state), pinned == "t") for n, state, pinned in _cells(holds)),
    )


def _cells(text: str) -> list[list[str]]:
    return [part.split(" ") for part in text.split(",")] if text else []

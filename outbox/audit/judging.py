"""Judges some orders by themselves, as far as the database shows it, while others go on.

What holds only at rest (invariants 7, 8, 9) is asked of an order that has its outcome and on which nobody works. An
order whose events are still on their way to a consumer is looked at again later.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Final, LiteralString

from domain.order import FINAL
from outbox.audit.books import Books
from outbox.audit.histories import history_problems, journal_problems
from outbox.audit.money import check_bounds, wrongly_kept
from outbox.audit.orders import capture_problems, leftover_problems, outcome_problems, twice_problems
from outbox.audit.profiles import Profile, read_profiles
from outbox.store.quarantine import IN_QUARANTINE

_ALWAYS: Final[tuple[tuple[int, Callable[[Profile], Iterator[str]]], ...]] = (
    (2, twice_problems),
    (3, capture_problems),
    (5, history_problems),
    (6, journal_problems),
)
_AT_REST: Final[tuple[tuple[int, Callable[[Profile], Iterator[str]]], ...]] = (
    (7, outcome_problems),
    (9, leftover_problems),
)
_UNDER_WAY: Final[LiteralString] = f"""
    SELECT order_id FROM orders o
     WHERE order_id = ANY(%s)
       AND (status NOT IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
            OR order_id IN ({IN_QUARANTINE})
            OR EXISTS (SELECT FROM operation p WHERE p.order_number = o.order_number
                        AND p.state IN ('open', 'pending', 'unknown') AND p.due_at IS NOT NULL
                        AND NOT (p.kind = 'refund' AND p.state = 'pending')))"""  # noqa: S608 - literals only
"""What comes of it changes the order once more: then it is looked at again."""
_UNSEEN: Final[LiteralString] = """
    SELECT DISTINCT e.order_id FROM event e
      JOIN unnest(%s::text[], %s::text[]) AS r(topic, consumer_group) ON r.topic = e.topic
     WHERE e.order_id = ANY(%s) AND (e.occurred_at AT TIME ZONE 'UTC')::date >= %s
       AND NOT EXISTS (SELECT FROM inbox i WHERE i.day = (e.occurred_at AT TIME ZONE 'UTC')::date
                          AND i.consumer_group = r.consumer_group AND i.event_id = e.event_id)
       AND NOT EXISTS (SELECT FROM dead_letter d
                        WHERE d.consumer_group = r.consumer_group AND d.event_id = e.event_id)"""


class Found:
    """What was found so far: invariant, order and text of each violation, and orders that are not at rest yet."""

    def __init__(self) -> None:
        self.violations: list[tuple[int, str, str]] = []
        self.unsettled: list[str] = []

    def counts(self) -> dict[int, int]:
        """Return how many violations there are, by the number of the invariant."""
        return dict(sorted(Counter(number for number, _, _ in self.violations).items()))


async def judge_portion(books: Books, found: Found, oldest: date) -> None:
    """Judge the orders of these books. oldest: the inbox's first day."""
    assert books.orders is not None
    found.violations += await _out_of_bounds(books)
    at_rest: list[tuple[int, str, str]] = []
    async for group in read_profiles(books, len(books.orders)):
        for number, problems_of in _ALWAYS:
            texts = list(problems_of(group.profile))
            found.violations += [(number, o, f"order {o}: {text}") for o in group.examples for text in texts]
        if group.profile.status in FINAL:
            for number, problems_of in _AT_REST:
                texts = list(problems_of(group.profile))
                at_rest += [(number, o, f"order {o}: {text}") for o in group.examples for text in texts]
    at_rest += [(8, order_id, text) for order_id, text in await wrongly_kept(books)]
    if not at_rest:
        return
    suspects = sorted({order_id for _, order_id, _ in at_rest})
    groups = books.scope.groups
    topics = [books.scope.prefix + event_type for event_type in groups]
    under_way = {row[0] for row in await books.rows(_UNDER_WAY, [suspects])}
    unseen = {row[0] for row in await books.rows(_UNSEEN, [topics, list(groups.values()), suspects, oldest])}
    found.unsettled += sorted(unseen - under_way)
    found.violations += [one for one in at_rest if one[1] not in under_way | unseen]


async def _out_of_bounds(books: Books) -> list[tuple[int, str, str]]:
    """Return violations of invariant 1: its texts begin with the order."""
    await check_bounds(books)
    texts = books.findings[1].conclude().violations
    return [(1, text.split(" ", 2)[1], text) for text in texts]

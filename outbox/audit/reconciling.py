"""Our operations and attempts beside the gateway's lists, both ways, to the minor unit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from outbox.audit.differences import Difference, Kind, differences
from outbox.audit.disputed import disputed
from outbox.audit.listed import Lists

KEPT_MAX: Final = 1_000
"""Differences that are kept with their texts; further ones are only counted."""
_SETUP: Final = (
    # The query reads whole tables; without statistics of the lists the planner might loop over one of them.
    "SET LOCAL enable_nestloop = off",
    "SET LOCAL jit = off",
    "SET LOCAL work_mem = '64MB'",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison found. Foreign: without our metadata, and no attempt of ours knows it.

    under_way: orders that somebody works on; they were not judged. found: differences by kind. kept: the first of
    them, with texts. for_operator: the first differences of orders that wait for an operator's ruling already; they
    are no news, so they do not count as found.
    """

    listed_since: datetime
    orders: int
    attempts: int
    transactions: int
    refunds: int
    foreign_transactions: int
    foreign_refunds: int
    under_way: int
    found: Counter[Kind]
    kept: Sequence[Difference]
    for_operator: Sequence[Difference]

    @property
    def same(self) -> bool:
        """Whether both sides agree."""
        return not self.found

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of `payments reconcile --json`. Amounts are minor units."""
        return {
            "same": self.same,
            "listed_since": self.listed_since,
            "compared": {
                "orders": self.orders,
                "attempts": self.attempts,
                "transactions": self.transactions,
                "refunds": self.refunds,
            },
            "foreign": {"transactions": self.foreign_transactions, "refunds": self.foreign_refunds},
            "under_way": self.under_way,
            "found": {str(kind): number for kind, number in sorted(self.found.items())},
            "differences": [_document(difference) for difference in self.kept],
            "for_operator": [_document(difference) for difference in self.for_operator],
        }


async def reconcile(connection: psycopg.AsyncConnection[Any], lists: Lists) -> Reconciliation:
    """Compare our books, in one snapshot, with lists that were read over this connection. Changes nothing.

    Raises psycopg.OperationalError if the database does not answer.
    """
    orders = attempts = under_way = 0
    found: Counter[Kind] = Counter()
    kept: list[Difference] = []
    for_operator: list[Difference] = []
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    try:
        async with connection.transaction():
            for statement in _SETUP:
                await connection.execute(statement)
            transactions, ours, refunds, our_refunds = await lists.counts()
            async for pair in lists.pairs():
                if pair.ours is not None:
                    orders, attempts = orders + 1, attempts + len(pair.ours.attempts)
                    if pair.ours.working:
                        under_way += 1
                        continue
                for difference in differences(pair):
                    given_up = pair.ours is not None and pair.ours.waits_for_operator
                    if not given_up:
                        found[difference.kind] += 1
                    those = for_operator if given_up else kept
                    if len(those) < KEPT_MAX:
                        those.append(difference)
            for difference in await disputed(connection, lists.began):
                found[difference.kind] += 1
                if len(kept) < KEPT_MAX:
                    kept.append(difference)
    finally:
        await connection.set_isolation_level(None)
    return Reconciliation(
        *(lists.since, orders, attempts, ours, our_refunds, transactions - ours, refunds - our_refunds),
        *(under_way, found, kept, for_operator),
    )


def _document(difference: Difference) -> dict[str, Any]:
    return {
        "kind": str(difference.kind),
        "order_id": difference.order_id,
        "attempt": difference.attempt,
        "transaction_id": difference.transaction_id,
        "refund_id": difference.refund_id,
        "ours": difference.ours,
        "theirs": difference.theirs,
        "text": difference.text,
    }

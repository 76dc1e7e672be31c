"""Our holds of goods beside the inventory's, both ways; the internal inventory's sums beside the holds.

`payments reconcile --inventory` and invariant 4 of the audit share it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import TupleRow

from outbox.audit.books import Books
from outbox.audit.hold_differences import HoldDifference, HoldKind, hold_differences
from outbox.audit.holds import HoldList
from outbox.audit.stock import SKUS, WRONG, stock_violations

KEPT_MAX: Final = 1_000
"""Differences that are kept with their texts; further ones are only counted."""
_SETUP: Final = (
    "SET LOCAL enable_nestloop = off",
    "SET LOCAL jit = off",
    "SET LOCAL work_mem = '64MB'",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
_NOW: Final = "SELECT now()"
_HOLDS: Final = "SELECT count(*) FROM reservation"


@dataclass(frozen=True, slots=True)
class GoodsCompared:
    """What a comparison found. here, there: holds on either side. skus: of the internal inventory.

    foreign: holds of other shops. under_way: holds of orders that somebody works on; they were not judged.
    found: differences by kind. kept: the first of them. for_operator: those of orders that wait for an operator's
    ruling already; they do not count as found.
    """

    inventory: str
    since: datetime | None
    here: int
    there: int
    skus: int
    foreign: int
    under_way: int
    found: Counter[HoldKind]
    kept: Sequence[HoldDifference]
    for_operator: Sequence[HoldDifference] = ()

    @property
    def same(self) -> bool:
        """Whether both sides agree."""
        return not self.found

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of `payments reconcile --inventory --json`."""
        return {
            "same": self.same,
            "inventory": self.inventory,
            "listed_since": self.since,
            "compared": {"holds_here": self.here, "holds_there": self.there, "skus": self.skus},
            "foreign": {"holds": self.foreign},
            "under_way": self.under_way,
            "found": {str(kind): number for kind, number in sorted(self.found.items())},
            "differences": [_document(difference) for difference in self.kept],
            "for_operator": [_document(difference) for difference in self.for_operator],
        }


async def compare_goods(connection: psycopg.AsyncConnection[TupleRow], holds: HoldList) -> GoodsCompared:
    """Compare our holds, in one snapshot, with a list that was read over this connection. Changes nothing.

    Raises psycopg.OperationalError if the database does not answer.
    """
    here = there = foreign = under_way = 0
    found: Counter[HoldKind] = Counter()
    kept: list[HoldDifference] = []
    for_operator: list[HoldDifference] = []
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    try:
        async with connection.transaction():
            for statement in _SETUP:
                await connection.execute(statement)
            at = await _one(connection, _NOW)
            async for pair in holds.pairs():
                here, there = here + (pair.ours is not None), there + (pair.theirs is not None)
                if pair.foreign:
                    foreign += 1
                    continue
                if pair.working:
                    under_way += 1
                    continue
                given_up = pair.ours is not None and pair.ours.waits_for_operator
                for difference in hold_differences(pair, at):
                    if not given_up:
                        found[difference.kind] += 1
                    those = for_operator if given_up else kept
                    if len(those) < KEPT_MAX:
                        those.append(difference)
    finally:
        await connection.set_isolation_level(None)
    return GoodsCompared("http", holds.since, here, there, 0, foreign, under_way, found, kept, for_operator)


async def compare_stock(connection: psycopg.AsyncConnection[TupleRow]) -> GoodsCompared:
    """Compare the internal inventory's stock with the adjustments and with the holds, in one snapshot."""
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    try:
        async with connection.transaction():
            skus, here = await _one(connection, SKUS), await _one(connection, _HOLDS)
            wrong = await (await connection.execute(WRONG)).fetchall()
    finally:
        await connection.set_isolation_level(None)
    texts = [text for row in wrong for text in stock_violations(row)]
    kept = [HoldDifference(HoldKind.STOCK, None, text) for text in texts[:KEPT_MAX]]
    found = Counter({HoldKind.STOCK: len(texts)} if texts else {})
    return GoodsCompared("internal", None, here, 0, skus, 0, 0, found, kept)


async def check_goods(books: Books, holds: HoldList) -> None:
    """Compare our holds with the list of an inventory elsewhere, as part of an audit. The list was read before."""
    findings = books.findings[4]
    at = await _one(books.connection, _NOW)
    async for pair in holds.pairs():
        if pair.foreign:
            continue
        findings.checked += 1
        for difference in hold_differences(pair, at):
            if pair.working:
                findings.add_unsure()
            elif pair.ours is None or not pair.ours.waits_for_operator:
                findings.add_violations(f"order {difference.order_id}: {difference.text}")
    since = "" if holds.since is None else f" that changed since {holds.since:%F}"
    findings.notes.append(f"the stock is elsewhere: compared with the inventory's holds{since}")


async def _one(connection: psycopg.AsyncConnection[TupleRow], statement: Any) -> Any:
    row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return row[0]


def _document(difference: HoldDifference) -> dict[str, Any]:
    return {**asdict(difference), "kind": str(difference.kind)}

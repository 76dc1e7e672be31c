"""Lists of orders for people. It loads little: the command answers in a moment."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from deploy.views.tables import table
from deploy.views.times import ago
from domain.ways_out import WAYS
from outbox.operators.queries import Record
from schemas.money import Money


def list_lines(orders: Sequence[Record], now: datetime, *, more: bool) -> Iterator[str]:
    """Show orders, one a line, and the ways out of their reviews. more: there are more orders than these."""
    heads = ("order", "status", "total", "attempt", "version", "changed", "review", "asked")
    rows = [
        (
            row["order_id"],
            row["status"],
            str(Money(row["total_minor"], row["currency"])),
            str(row["attempt"]),
            str(row["version"]),
            ago(now - row["updated_at"]),
            row["review_reason"] or "",
            row["asked"] or "",
        )
        for row in orders
    ]
    yield from table(heads, rows, right=frozenset({2, 3, 4}))
    yield from _ways_out({row["review_reason"] or "" for row in orders} & WAYS.keys())
    if more:
        yield f"... and more: --limit shows more than {len(orders)}"


def _ways_out(reasons: Collection[str]) -> Iterator[str]:
    if not reasons:
        return
    from domain.ruling import Word  # noqa: PLC0415 - it loads every event, and mostly there is no review

    for reason in sorted(reasons):
        yield ""
        yield f"{reason}: `payments order resolve ID --reason TEXT` with"
        yield f"  --as {Word.EXECUTED}: {WAYS[reason].executed}"
        yield f"  --as {Word.NOT_EXECUTED}: {WAYS[reason].not_executed}"

"""The gateway's list of disputes beside ours. A ledger shows none, so this is for lists alone.

Disputed money is gone from the gateway's balance and counts apart in our books, so both sides must agree about it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import TupleRow

from domain.news import Dispute
from outbox.audit.differences import Difference, Kind

HEARD_WITHIN: Final = timedelta(minutes=10)
"""The gateway tells of a dispute, and the sweep asks about it: until then it is no difference."""

MAKE: Final[LiteralString] = """
    CREATE TEMP TABLE listed_dispute (
      dispute_id text NOT NULL, transaction_id text NOT NULL, currency text NOT NULL, amount_minor bigint NOT NULL,
      funds_withdrawn boolean NOT NULL, status text NOT NULL, opened_at timestamptz NOT NULL)"""
COPY: Final[LiteralString] = "COPY listed_dispute FROM STDIN (FORMAT BINARY)"
TYPES: Final = ("text", "text", "text", "int8", "bool", "text", "timestamptz")
_COMPARE: Final[LiteralString] = """
    SELECT o.order_id, a.attempt, l.dispute_id, l.transaction_id, l.status, l.currency,
           CASE WHEN l.funds_withdrawn THEN l.amount_minor ELSE 0 END,
           d.dispute_id IS NOT NULL, CASE WHEN d.funds_withdrawn THEN d.amount_minor ELSE 0 END
      FROM listed_dispute l JOIN attempt a USING (transaction_id) JOIN orders o USING (order_number)
           LEFT JOIN dispute d ON d.order_number = o.order_number AND d.dispute_id = l.dispute_id
     WHERE o.updated_at < %(began)s AND l.opened_at < %(heard)s
       AND (d.dispute_id IS NULL OR (d.looked_at < %(heard)s AND
            (d.funds_withdrawn, CASE WHEN d.funds_withdrawn THEN d.amount_minor ELSE 0 END)
            <> (l.funds_withdrawn, CASE WHEN l.funds_withdrawn THEN l.amount_minor ELSE 0 END)))
     ORDER BY o.order_id, l.dispute_id"""


def row_of(dispute: Dispute) -> tuple[Any, ...]:
    """Return the row of a listed dispute."""
    return (
        *(dispute.dispute_id, dispute.transaction_id, dispute.currency, dispute.amount_minor),
        *(dispute.funds_withdrawn, dispute.status, dispute.opened_at),
    )


async def disputed(connection: psycopg.AsyncConnection[TupleRow], began: datetime) -> Sequence[Difference]:
    """Return the disputes of our payments that our books do not have, or have otherwise.

    began: when the reading of the lists began; an order that has changed since is not judged.
    """
    values = {"began": began, "heard": began - HEARD_WITHIN}
    rows = await (await connection.execute(_COMPARE, values)).fetchall()
    return [_difference(*row) for row in rows]


def _difference(
    order_id: str,
    attempt: int,
    dispute_id: str,
    transaction_id: str,
    status: str,
    currency: str,
    theirs: int,
    known: bool,  # noqa: FBT001 - a column
    ours: int,
) -> Difference:
    have = f"have {ours} withdrawn" if known else "do not have it"
    text = (
        f"dispute {dispute_id} of attempt {attempt} ({transaction_id}) is {status}, {theirs} {currency} withdrawn, and "
        f"our books {have}"
    )
    return Difference(Kind.DISPUTED, order_id, text, attempt, transaction_id, None, ours, theirs)

"""The gateway's lists, in temporary tables, and each order of ours beside them.

The lists are read first, page by page, then our tables. So an order that changed since the reading began is under way
and not judged: any effect that the lists miss is followed by a later change of its order, or its operation is
unfinished still. A session of its own is needed, for the tables last as long as the session.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import TupleRow

from domain.ids import OrderId
from domain.ports.gateway import Effect, GatewayLists, LedgerEntry, RefundState
from outbox.audit import disputed
from outbox.audit.accounts import PAID_OUTSIDE, OurAttempt, OurOrder, OurRefund, Pair, TheirRefund

FETCH: Final = 1_000
"""Orders that are in memory at a time."""
LATE: Final = timedelta(days=31)
"""So long after its authorization a payment may be captured. So the lists are read from that much earlier on."""
CLOCKS: Final = timedelta(minutes=5)
"""How far our clock and the gateway's may differ."""

_MAKE: Final[tuple[LiteralString, ...]] = (
    "DROP TABLE IF EXISTS pg_temp.listed_transaction, pg_temp.listed_refund, pg_temp.listed_dispute",
    """CREATE TEMP TABLE listed_transaction (
         transaction_id text NOT NULL, order_id text, operation_id text, status text NOT NULL, currency text NOT NULL,
         amount_minor bigint NOT NULL, authorized_minor bigint NOT NULL, captured_minor bigint NOT NULL,
         cancelled boolean NOT NULL, undecided boolean NOT NULL, created_at timestamptz NOT NULL)""",
    """CREATE TEMP TABLE listed_refund (
         refund_id text NOT NULL, transaction_id text, order_id text, operation_id text, state text NOT NULL,
         currency text NOT NULL, amount_minor bigint NOT NULL, created_at timestamptz NOT NULL)""",
    disputed.MAKE,
)
_DONE: Final[tuple[LiteralString, ...]] = (
    "CREATE INDEX ON listed_transaction (transaction_id)",
    "ANALYZE listed_transaction",
    "ANALYZE listed_refund",
    "ANALYZE listed_dispute",
)
_DROP: Final[LiteralString] = _MAKE[0]
_NOW: Final[LiteralString] = "SELECT clock_timestamp()"
_COPY_TRANSACTIONS: Final[LiteralString] = "COPY listed_transaction FROM STDIN (FORMAT BINARY)"
_TRANSACTION_TYPES: Final = (*["text"] * 5, *["int8"] * 3, "bool", "bool", "timestamptz")
_COPY_REFUNDS: Final[LiteralString] = "COPY listed_refund FROM STDIN (FORMAT BINARY)"
_REFUND_TYPES: Final = (*["text"] * 6, "int8", "timestamptz")

_OWNED: Final[LiteralString] = """
    known AS (SELECT transaction_id, order_id FROM attempt WHERE transaction_id IS NOT NULL),
    owned AS (
      SELECT coalesce(k.order_id, t.order_id, '') AS owner, t.*
        FROM listed_transaction t LEFT JOIN known k USING (transaction_id)
       WHERE k.order_id IS NOT NULL OR t.operation_id IS NOT NULL),
    back AS (
      SELECT coalesce(k.order_id, w.owner, r.order_id, '') AS owner, r.*
        FROM listed_refund r LEFT JOIN known k USING (transaction_id) LEFT JOIN owned w USING (transaction_id)
       WHERE k.order_id IS NOT NULL OR w.owner IS NOT NULL OR r.operation_id IS NOT NULL)"""
"""What is ours: what an attempt knows, and what carries an operation's id in its metadata."""
_COUNTS: Final[LiteralString] = f"""
    WITH {_OWNED}
    SELECT (SELECT count(*) FROM listed_transaction), (SELECT count(*) FROM owned),
           (SELECT count(*) FROM listed_refund), (SELECT count(*) FROM back)"""  # noqa: S608 - literals only
_PAIRS: Final[LiteralString] = f"""
    WITH {_OWNED},
    theirs AS (
      SELECT owner AS order_id, json_agg(json_build_array(transaction_id, operation_id, status, currency, amount_minor,
               authorized_minor, captured_minor, cancelled, undecided, extract(epoch FROM created_at))
               ORDER BY created_at, transaction_id) AS found
        FROM owned GROUP BY owner),
    returned AS (
      SELECT owner AS order_id, json_agg(json_build_array(refund_id, transaction_id, operation_id, state, amount_minor)
               ORDER BY created_at, refund_id) AS found
        FROM back GROUP BY owner),
    opened AS (
      SELECT order_id, attempt, min(opened_at) AS at FROM operation WHERE kind = 'authorize' GROUP BY 1, 2),
    scope AS (
      SELECT order_id FROM theirs UNION SELECT order_id FROM returned
       UNION SELECT order_id FROM opened WHERE at >= %(since)s),
    {PAID_OUTSIDE},
    attempts AS (
      SELECT order_id, json_agg(json_build_array(attempt, transaction_id, authorized_minor, captured_minor,
               refunded_minor, voided, refund_id, coalesce(at >= %(since)s, false), coalesce(outside, 0))
               ORDER BY attempt) AS found
        FROM attempt LEFT JOIN opened USING (order_id, attempt) LEFT JOIN paid_outside USING (order_id, attempt)
       GROUP BY order_id),
    refunds AS (
      SELECT order_id, json_agg(json_build_array(operation_id, transaction_id, reference, state = 'approved',
               state IN ('open', 'pending', 'unknown')) ORDER BY opened_at) AS found
        FROM operation WHERE kind = 'refund' GROUP BY order_id),
    work AS (
      SELECT order_id,
             bool_or(due_at IS NOT NULL AND kind NOT IN ('release', 'restock')
                     AND NOT (kind = 'refund' AND state = 'pending')) AS working,
             bool_or(due_at IS NULL) AS given_up,
             coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0)::bigint AS returning
        FROM operation WHERE state IN ('open', 'pending', 'unknown') GROUP BY order_id)
    SELECT order_id, o.status, o.currency, o.total_minor, coalesce(w.working, false) OR o.updated_at >= %(began)s,
           coalesce(w.given_up, false), coalesce(w.returning, 0), a.found, r.found, t.found, b.found
      FROM scope LEFT JOIN orders o USING (order_id) LEFT JOIN work w USING (order_id)
           LEFT JOIN attempts a USING (order_id) LEFT JOIN refunds r USING (order_id)
           LEFT JOIN theirs t USING (order_id) LEFT JOIN returned b USING (order_id)
     ORDER BY order_id"""  # noqa: S608 - literals only

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lists:
    """The filled tables. since: the lists reach back to here. began: when their reading began, by the database."""

    connection: psycopg.AsyncConnection[TupleRow]
    since: datetime
    began: datetime

    async def pairs(self) -> AsyncIterator[Pair]:
        """Yield every order that either side has. Call it in a transaction; only one iteration at a time."""
        async with AsyncExitStack() as stack:
            cursor = await stack.enter_async_context(self.connection.cursor(name="lists", binary=True))
            cursor.itersize = FETCH
            # An attempt that is just older than the lists may be on them or not.
            await cursor.execute(_PAIRS, {"since": self.since + CLOCKS, "began": self.began})
            async for row in cursor:
                yield _pair(row)

    async def counts(self) -> tuple[int, int, int, int]:
        """Return how many transactions were listed, and how many of them are ours; the same of refunds."""
        row = await (await self.connection.execute(_COUNTS)).fetchone()
        assert row is not None
        return row[0], row[1], row[2], row[3]

    async def drop(self) -> None:
        """Drop the tables."""
        await self.connection.execute(_DROP)


async def read_lists(
    connection: psycopg.AsyncConnection[TupleRow], lists: GatewayLists, since: datetime, progress: Progress
) -> Lists:
    """Read the lists from since on into temporary tables. The connection must be in autocommit, and is afterwards.

    Raises Transient if the gateway does not answer. progress: gets a line after each page.
    """
    for statement in _MAKE:
        await connection.execute(statement)
    row = await (await connection.execute(_NOW)).fetchone()
    assert row is not None
    read = 0
    async for transactions in lists.transactions(since):
        rows: list[tuple[Any, ...]] = [
            (
                *(t.transaction_id, t.order_id, t.operation_id, t.status, t.currency, t.amount_minor),
                *(t.authorized_minor, t.captured_minor, t.cancelled, t.undecided, t.created_at),
            )
            for t in transactions
        ]
        await _copy(connection, _COPY_TRANSACTIONS, _TRANSACTION_TYPES, rows)
        read += len(rows)
        if rows:
            progress(f"{read} transactions of the gateway's list, back to {transactions[-1].created_at:%F %T}")
    read = 0
    async for refunds in lists.refunds(since):
        rows = [
            (
                *(r.refund_id, r.transaction_id, r.order_id, r.operation_id, str(r.state), r.currency),
                *(r.amount_minor, r.created_at),
            )
            for r in refunds
        ]
        await _copy(connection, _COPY_REFUNDS, _REFUND_TYPES, rows)
        read += len(rows)
        if rows:
            progress(f"{read} refunds of the gateway's list, back to {refunds[-1].created_at:%F %T}")
    async for disputes in lists.disputes(since):
        await _copy(connection, disputed.COPY, disputed.TYPES, [disputed.row_of(dispute) for dispute in disputes])
    for statement in _DONE:
        await connection.execute(statement)
    return Lists(connection, since, row[0])


async def _copy(
    connection: psycopg.AsyncConnection[TupleRow],
    statement: LiteralString,
    types: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Copy a page. One statement a page: a longer one would hold a snapshot while the gateway is asked."""
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            await copy.write_row(tuple(_storable(cell) if isinstance(cell, str) else cell for cell in row))


def _storable(text: str) -> str:
    """Replace what a text of PostgreSQL cannot have; others may write anything into metadata."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def _pair(row: TupleRow) -> Pair:
    order_id, status, currency, total, working, given_up, returning, attempts, refunds, theirs, back = row
    returned = [
        TheirRefund(name, of or "", by, RefundState(state), amount) for name, of, by, state, amount in back or ()
    ]
    amounts: defaultdict[str, list[int]] = defaultdict(list)
    for refund in returned:
        if refund.state is RefundState.SUCCEEDED:
            amounts[refund.transaction_id].append(refund.amount)
    entries = [_entry(order_id, cells, amounts[cells[0]]) for cells in theirs or ()]
    undecided = frozenset(cells[0] for cells in theirs or () if cells[8])
    ours = None
    if status is not None:
        ours = OurOrder(
            *(order_id, status, currency, total, working, given_up, returning),
            attempts=[OurAttempt(*cells) for cells in attempts or ()],
            refunds=[OurRefund(*cells) for cells in refunds or ()],
        )
    return Pair(order_id or None, ours, entries, returned, undecided)


def _entry(order_id: str, cells: Sequence[Any], returned: Sequence[int]) -> LedgerEntry:
    """Make a ledger's entry from a transaction of the list: the effects that its state shows, without their keys."""
    transaction_id, operation_id, status, currency, amount, authorized, captured, cancelled, _, seconds = cells
    at = datetime.fromtimestamp(float(seconds), UTC)
    effects = [("authorize", authorized)] if authorized else []
    effects += [("capture", captured)] if captured else []
    effects += [("cancel", authorized)] if cancelled and authorized else []
    effects += [("refund", part) for part in returned]
    return LedgerEntry(
        transaction_id,
        OrderId(order_id),
        operation_id,
        status,
        currency,
        amount,
        captured,
        sum(returned),
        tuple(Effect(kind, "", at, part) for kind, part in effects),
    )

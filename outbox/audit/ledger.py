"""Compares our attempts with the gateway's record, order by order, both ways; each difference breaks an invariant.

A ledger is read after the snapshot, so it has everything that the snapshot has, and perhaps more. So an order on
which somebody works is not judged, and a difference counts only if the order has not changed meanwhile. Lists are read
before the snapshot: see listed.py.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Final, LiteralString

from domain.ports.gateway import LedgerEntry
from outbox.audit.accounts import PAID_OUTSIDE, OurAttempt, OurOrder, Pair
from outbox.audit.books import Books
from outbox.audit.differences import Difference, Kind, differences
from outbox.audit.report import Findings

NO_LEDGER: Final = "checked against the database alone: this gateway has no ledger to compare with"
NO_EFFECTS: Final = "this gateway's lists do not show its effects by key: only what they show was checked"
COMPARED: Final = (1, 2, 3, 8, 9)
BY_EFFECTS: Final = (2, 3)
"""The invariants that speak of what the gateway did under each key."""

INVARIANTS: Final[Mapping[Kind, tuple[int, ...]]] = {
    Kind.ORDER_UNKNOWN: (2,),
    Kind.TRANSACTION_UNKNOWN: (2,),
    Kind.TRANSACTION_MISSING: (1,),
    Kind.CURRENCY: (1,),
    Kind.AUTHORIZED: (1,),
    Kind.CAPTURED: (1, 8),
    Kind.REFUNDED: (1, 8),
    Kind.REFUNDED_ELSEWHERE: (1, 8),
    Kind.REFUND_FAILED: (1, 8),
    Kind.REFUND_MISSING: (1,),
    Kind.DISPUTED: (8,),
    Kind.STILL_HELD: (9,),
    Kind.HOLD_GONE: (),
    Kind.UNDECIDED: (),
    Kind.AUTHORIZED_TWICE: (2,),
    Kind.KEPT_TWICE: (2,),
    Kind.KEPT_TOO_MUCH: (1,),
}
"""What each difference breaks. A hold that lapsed and a transaction without a decision have moved no money."""

_ATTEMPTS: Final[LiteralString] = f"""
    WITH {PAID_OUTSIDE}, work AS (
      SELECT order_id,
             bool_or(due_at IS NOT NULL AND kind NOT IN ('release', 'restock')
                     AND NOT (kind = 'refund' AND state = 'pending')) AS working,
             bool_or(due_at IS NULL) AS given_up,
             coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS returning
        FROM operation WHERE state IN ('open', 'pending', 'unknown') GROUP BY order_id)
    SELECT o.order_id, o.status, o.currency, o.total_minor, coalesce(w.working, false), coalesce(w.given_up, false),
           coalesce(w.returning, 0), a.attempt, a.transaction_id, a.authorized_minor, a.captured_minor,
           a.refunded_minor, a.voided, a.refund_id, true, coalesce(p.outside, 0)
      FROM orders o JOIN attempt a USING (order_id) LEFT JOIN work w USING (order_id)
           LEFT JOIN paid_outside p ON p.order_id = o.order_id AND p.attempt = a.attempt
     ORDER BY o.order_id, a.attempt"""  # noqa: S608 - literals only


async def compare(books: Books, pairs: AsyncIterator[Pair]) -> None:
    """Judge every pair."""
    balance: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    checked = 0
    async for pair in pairs:
        checked += len(pair.theirs)
        for entry in pair.theirs:
            balance[entry.currency] += entry.kept_minor
            _check_effects(books, entry)
        if pair.ours is not None:
            ours[pair.ours.currency] += sum(a.captured - a.refunded for a in pair.ours.attempts)
            outside[pair.ours.currency] += sum(a.outside for a in pair.ours.attempts)
        for difference in differences(pair):
            _report(books, pair.ours, difference)
    for currency in sorted(balance | ours):
        past = f" and {outside[currency]} that was paid back past the gateway" if outside[currency] else ""
        books.findings[8].notes.append(
            f"{currency}: the gateway keeps {balance[currency]}, our attempts {ours[currency]}{past}"
        )
    for number in COMPARED:
        books.findings[number].checked += checked


async def pairs_of(books: Books, entries: Sequence[LedgerEntry]) -> AsyncIterator[Pair]:
    """Yield every order with its transactions in a ledger, then the transactions of orders that we do not know."""
    by_order: dict[str | None, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        by_order[entry.order_id].append(entry)
    async for account in _accounts(books):
        yield Pair(account.order_id, account, by_order.pop(account.order_id, []))
    for order_id, strangers in by_order.items():
        yield Pair(order_id, None, strangers)


async def _accounts(books: Books) -> AsyncIterator[OurOrder]:
    """Yield every order that has attempts, with these; the others have moved no money."""
    async with AsyncExitStack() as stack:
        fixed: tuple[Any, ...] | None = None
        attempts: list[OurAttempt] = []
        async for row in await books.stream(stack, _ATTEMPTS):
            if fixed != row[:7]:
                if fixed is not None:
                    yield OurOrder._make((*fixed, attempts, ()))
                fixed, attempts = row[:7], []
            attempts.append(OurAttempt(*row[7:]))
        if fixed is not None:
            yield OurOrder._make((*fixed, attempts, ()))


def _report(books: Books, ours: OurOrder | None, difference: Difference) -> None:
    numbers = INVARIANTS[difference.kind] + ((8,) if difference.kept else ())
    text = difference.text if ours is None else f"order {ours.order_id}: {difference.text}"
    for number in numbers:
        findings = books.findings[number]
        if ours is None:
            findings.add_suspect(difference.order_id or "", text)
        elif ours.working:
            findings.add_unsure()
        elif ours.waits_for_operator:
            findings.notes.append(f"order {ours.order_id}, for an operator to settle: {difference.text}")
        else:
            findings.add_suspect(ours.order_id, text)


def _check_effects(books: Books, entry: LedgerEntry) -> None:
    """Judge one transaction by the gateway's own entries alone."""
    name = f"transaction {entry.transaction_id} (order {entry.order_id})"
    kinds = [effect.kind for effect in entry.effects]
    for kind in ("authorize", "capture", "cancel"):
        if kinds.count(kind) > 1:
            books.findings[2].add_violations(f"{name} has {kinds.count(kind)} effects {kind}")
    if "cancel" in kinds and "capture" in kinds[kinds.index("cancel") :]:
        books.findings[3].add_violations(f"{name} was captured after it was cancelled")
    amounts = (entry.refunded_minor, entry.captured_minor, entry.amount_minor)
    if not 0 <= amounts[0] <= amounts[1] <= amounts[2]:
        books.findings[1].add_violations(
            f"{name}: refunded {amounts[0]}, captured {amounts[1]}, asked for {amounts[2]}"
        )
    effective = {kind: sum(e.amount_minor for e in entry.effects if e.kind == kind) for kind in ("capture", "refund")}
    # A refund that the bank sends back keeps its effect, but the ledger's refunded amount shrinks.
    if effective["capture"] != entry.captured_minor or effective["refund"] < entry.refunded_minor:
        books.findings[1].add_violations(
            f"{name}: effects {effective}, and captured {amounts[1]}, refunded {amounts[0]} in the ledger"
        )


def report_disputed(books: Books, found: Sequence[Difference]) -> None:
    """Judge differences about disputes."""
    for difference in found:
        for number in INVARIANTS[difference.kind]:
            order_id = difference.order_id or ""
            books.findings[number].add_suspect(order_id, f"order {order_id}: {difference.text}")


def note_lists(books: Books, since: datetime) -> None:
    """Note how far lists reach, and what they do not show."""
    for number in COMPARED:
        books.findings[number].notes.append(f"compared with the gateway's lists since {since:%F %T}")
    for number in BY_EFFECTS:
        books.findings[number].note_part(NO_EFFECTS)


def without_ledger(findings: Sequence[Findings]) -> None:
    """Note that no gateway was asked."""
    for finding in findings:
        finding.notes.append(NO_LEDGER)

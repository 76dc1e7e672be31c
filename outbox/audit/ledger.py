"""Compares our attempts with the gateway's ledger, order by order, both ways.

The ledger is read after the snapshot, so it has everything that the snapshot has, and perhaps more. So an order on
which somebody works is not judged, and a difference counts only if the order has not changed meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, LiteralString, NamedTuple

from domain.ports.gateway import LedgerEntry
from outbox.audit.books import Books
from outbox.audit.report import Findings

NO_LEDGER: Final = "checked against the database alone: this gateway has no ledger to compare with"
COMPARED: Final = (1, 2, 3, 8, 9)

_ATTEMPTS: Final[LiteralString] = """
    WITH work AS (
      SELECT order_id,
             bool_or(due_at IS NOT NULL AND kind <> 'release'
                     AND NOT (kind = 'refund' AND state = 'pending')) AS working,
             bool_or(due_at IS NULL) AS given_up,
             coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS returning
        FROM operation WHERE state IN ('open', 'pending', 'unknown') GROUP BY order_id)
    SELECT o.order_id, o.status, o.currency, o.total_minor, coalesce(w.working, false), coalesce(w.given_up, false),
           coalesce(w.returning, 0), a.attempt, a.transaction_id, a.authorized_minor, a.captured_minor,
           a.refunded_minor, a.voided
      FROM orders o JOIN attempt a USING (order_id) LEFT JOIN work w USING (order_id)
     ORDER BY o.order_id, a.attempt"""


class OurAttempt(NamedTuple):
    """One attempt in the snapshot, amounts in minor units."""

    attempt: int
    transaction_id: str | None
    authorized: int
    captured: int
    refunded: int
    voided: bool


class OurOrder(NamedTuple):
    """One order in the snapshot. returning: the amount of unfinished refunds, done at the gateway or not."""

    order_id: str
    status: str
    currency: str
    total: int
    working: bool
    given_up: bool
    returning: int
    attempts: Sequence[OurAttempt]


async def compare(books: Books, entries: Sequence[LedgerEntry]) -> None:
    """Compare every order and every transaction."""
    by_order: dict[str | None, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        by_order[entry.order_id].append(entry)
    balance: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    async for account in _accounts(books):
        theirs = by_order.pop(account.order_id, [])
        ours[account.currency] += sum(a.captured - a.refunded for a in account.attempts)
        for entry in theirs:
            balance[entry.currency] += _kept(entry)
        _Comparison(books, account, theirs).run()
    for order_id, strangers in by_order.items():
        for entry in strangers:
            balance[entry.currency] += _kept(entry)
            _check_effects(books, entry)
            if entry.effects:
                text = (
                    f"transaction {entry.transaction_id} of order {order_id}, which we do not know: {_describe(entry)}"
                )
                books.findings[2].add_suspect(order_id or "", text)
                if _kept(entry):
                    books.findings[8].add_suspect(order_id or "", text)
    for currency in sorted(balance | ours):
        books.findings[8].notes.append(
            f"{currency}: the gateway keeps {balance[currency]}, our attempts {ours[currency]}"
        )
    for number in COMPARED:
        books.findings[number].checked += len(entries)


async def _accounts(books: Books) -> AsyncIterator[OurOrder]:
    """Yield every order that has attempts, with these; the others have moved no money."""
    async with AsyncExitStack() as stack:
        fixed: tuple[Any, ...] | None = None
        attempts: list[OurAttempt] = []
        async for row in await books.stream(stack, _ATTEMPTS):
            if fixed != row[:7]:
                if fixed is not None:
                    yield OurOrder._make((*fixed, attempts))
                fixed, attempts = row[:7], []
            attempts.append(OurAttempt(*row[7:]))
        if fixed is not None:
            yield OurOrder._make((*fixed, attempts))


class _Comparison:
    """Compares one order here with its transactions at the gateway."""

    def __init__(self, books: Books, account: OurOrder, theirs: Sequence[LedgerEntry]) -> None:
        self._books = books
        self._account = account
        self._theirs = {entry.transaction_id: entry for entry in theirs}

    def run(self) -> None:
        """Compare."""
        account = self._account
        for entry in self._theirs.values():
            _check_effects(self._books, entry)
            if entry.currency != account.currency:
                self._report(1, f"transaction {entry.transaction_id} is in {entry.currency}, not {account.currency}")
        self._compare_order()
        known = {a.transaction_id for a in account.attempts}
        for ours in account.attempts:
            self._compare_attempt(ours)
        for entry in self._theirs.values():
            if entry.transaction_id not in known and entry.effects:
                text = f"no attempt knows transaction {entry.transaction_id}: {_describe(entry)}"
                self._report(2, text)
                if _kept(entry):
                    self._report(8, text)

    def _compare_order(self) -> None:
        """Judge all transactions of the order together."""
        kept = {i: _kept(e) for i, e in self._theirs.items()}
        keeping = sorted(i for i, amount in kept.items() if amount > 0)
        if len(keeping) > 1:
            self._report(2, f"the gateway has captured and not refunded {' and '.join(keeping)}")
        if sum(kept.values()) > self._account.total:
            self._report(1, f"the gateway keeps {sum(kept.values())} of an order that costs {self._account.total}")
        approved = Counter(e.operation_id for e in self._theirs.values() for f in e.effects if f.kind == "authorize")
        for operation_id, times in approved.items():
            if times > 1:
                self._report(2, f"the gateway has authorized operation {operation_id} {times} times")

    def _compare_attempt(self, ours: OurAttempt) -> None:
        """Compare one attempt with its transaction."""
        entry = self._theirs.get(ours.transaction_id or "")
        if entry is None:
            if ours.authorized or ours.captured or ours.refunded:
                what = ours.transaction_id or "no transaction"
                self._report(1, f"attempt {ours.attempt} has moved money with {what}, which the gateway does not have")
            return
        authorized = sum(e.amount_minor for e in entry.effects if e.kind == "authorize")
        for name, our, their in (
            ("authorized", ours.authorized, authorized),
            ("captured", ours.captured, entry.captured_minor),
            ("refunded", ours.refunded, entry.refunded_minor),
        ):
            late = name == "refunded" and their == our + self._account.returning
            # We cancelled what nobody had decided on; the gateway may have approved it just before.
            unseen = name == "authorized" and our == 0 and ours.voided and not _held(entry)
            if our != their and not (late or unseen):
                text = f"attempt {ours.attempt} has {name} {our}, and the gateway {their} ({entry.transaction_id})"
                self._report(1, text)
                if name != "authorized":
                    self._report(8, text)
        if _held(entry) and (ours.voided or self._account.status == "payment_failed"):
            why = "voided attempt" if ours.voided else "failed order's attempt"
            self._report(9, f"the gateway still holds {_held(entry)} for {why} {ours.attempt} ({entry.transaction_id})")

    def _report(self, invariant: int, text: str) -> None:
        account, findings = self._account, self._books.findings[invariant]
        if account.working:
            findings.add_unsure()
        elif account.given_up:
            findings.notes.append(f"order {account.order_id}, for an operator to settle: {text}")
        else:
            findings.add_suspect(account.order_id, f"order {account.order_id}: {text}")


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


def _held(entry: LedgerEntry) -> int:
    kinds = {effect.kind for effect in entry.effects}
    return entry.amount_minor if "authorize" in kinds and not kinds & {"capture", "cancel"} else 0


def _kept(entry: LedgerEntry) -> int:
    return entry.captured_minor - entry.refunded_minor


def _describe(entry: LedgerEntry) -> str:
    return f"{_kept(entry)} {entry.currency} kept, {_held(entry)} held"


def without_ledger(findings: Sequence[Findings]) -> None:
    """Note that no gateway was asked."""
    for finding in findings:
        finding.notes.append(NO_LEDGER)

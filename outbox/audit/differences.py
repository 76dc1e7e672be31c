"""Compares one order in our books with what the gateway has of it. Pure: it judges values, and asks nobody."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.ports.gateway import LedgerEntry, RefundState
from domain.ways_out import OUTSIDE
from outbox.audit.accounts import OurAttempt, OurOrder, Pair, TheirRefund


class Kind(StrEnum):
    """The kinds of differences. What to do about each: deploy/views/reconcile_text.py."""

    ORDER_UNKNOWN = "order_unknown"
    TRANSACTION_UNKNOWN = "transaction_unknown"
    TRANSACTION_MISSING = "transaction_missing"
    CURRENCY = "currency"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    REFUND_FAILED = "refund_failed"
    REFUND_MISSING = "refund_missing"
    DISPUTED = "disputed"
    STILL_HELD = "still_held"
    HOLD_GONE = "hold_gone"
    UNDECIDED = "undecided"
    AUTHORIZED_TWICE = "authorized_twice"
    KEPT_TWICE = "kept_twice"
    KEPT_TOO_MUCH = "kept_too_much"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. order_id: as the gateway has it, if we do not know the order. Amounts are minor units.

    kept: what the gateway keeps of a transaction that we do not know.
    """

    kind: Kind
    order_id: str | None
    text: str
    attempt: int | None = None
    transaction_id: str | None = None
    refund_id: str | None = None
    ours: int | None = None
    theirs: int | None = None
    kept: int = 0


def differences(pair: Pair) -> Iterator[Difference]:
    """Yield every difference. A transaction that has moved nothing and cannot any more is none."""
    if pair.ours is None:
        yield from _of_unknown_order(pair)
        return
    ours, theirs = pair.ours, {entry.transaction_id: entry for entry in pair.theirs}
    strange = {entry.transaction_id for entry in theirs.values() if entry.currency != ours.currency}
    yield from _of_currency(ours, [theirs[transaction_id] for transaction_id in strange])
    yield from _of_whole(ours, [entry for entry in theirs.values() if entry.transaction_id not in strange])
    for attempt in ours.attempts:
        entry_of = theirs.get(attempt.transaction_id or "")
        if entry_of is None:
            yield from _of_missing(ours, attempt)
        elif entry_of.transaction_id not in strange:
            yield from _of_attempt(ours, attempt, entry_of, by_refund=pair.refunds is not None)
        if pair.refunds is not None and attempt.transaction_id not in strange:
            yield from _of_refunds(ours, attempt, pair.refunds, whole=entry_of is not None)
    known = {attempt.transaction_id for attempt in ours.attempts}
    for entry in theirs.values():
        if entry.transaction_id not in known and _has_moved(entry):
            text = f"no attempt knows transaction {entry.transaction_id}: {describe(entry)}"
            yield _of_strange(Kind.TRANSACTION_UNKNOWN, ours.order_id, text, entry)
        elif entry.transaction_id in pair.undecided:
            text = f"transaction {entry.transaction_id} is {entry.status}: it may still be approved"
            yield Difference(Kind.UNDECIDED, ours.order_id, text, transaction_id=entry.transaction_id)


def _has_moved(entry: LedgerEntry) -> bool:
    """Whether money was approved or taken. One that was cancelled before its bank approved it has moved nothing."""
    return any(effect.kind != "cancel" for effect in entry.effects)


def describe(entry: LedgerEntry) -> str:
    """Say what a transaction keeps and holds."""
    return f"{entry.kept_minor} {entry.currency} kept, {entry.held_minor} held"


def _of_unknown_order(pair: Pair) -> Iterator[Difference]:
    for entry in pair.theirs:
        if entry.effects:
            named = f"transaction {entry.transaction_id} of order {pair.order_id}"
            yield _of_strange(
                Kind.ORDER_UNKNOWN, pair.order_id, f"{named}, which we do not know: {describe(entry)}", entry
            )
    listed = {entry.transaction_id for entry in pair.theirs}
    for refund in pair.refunds or ():
        if refund.transaction_id not in listed:
            text = f"refund {refund.refund_id} of order {pair.order_id}, which we do not know: {refund.amount} back"
            yield Difference(
                Kind.ORDER_UNKNOWN, pair.order_id, text, None, refund.transaction_id, refund.refund_id, 0, refund.amount
            )


def _of_strange(kind: Kind, order_id: str | None, text: str, entry: LedgerEntry) -> Difference:
    return Difference(
        kind, order_id, text, None, entry.transaction_id, None, 0, entry.captured_minor, kept=entry.kept_minor
    )


def _of_currency(ours: OurOrder, strange: Sequence[LedgerEntry]) -> Iterator[Difference]:
    """Judge transactions in another currency, whose amounts cannot be compared. All back, nothing is left to settle."""
    booked = {attempt.transaction_id for attempt in ours.attempts if attempt.authorized}
    for entry in strange:
        if entry.kept_minor or entry.held_minor or entry.transaction_id in booked:
            text = f"transaction {entry.transaction_id} is in {entry.currency}, not {ours.currency}: {describe(entry)}"
            yield Difference(Kind.CURRENCY, ours.order_id, text, transaction_id=entry.transaction_id)


def _of_whole(ours: OurOrder, entries: Sequence[LedgerEntry]) -> Iterator[Difference]:
    """Judge all transactions of the order together. What was paid back past the gateway is not kept for the order."""
    outside = {attempt.transaction_id: attempt.outside for attempt in ours.attempts}
    left = {entry.transaction_id: entry.kept_minor - outside.get(entry.transaction_id, 0) for entry in entries}
    keeping = sorted(transaction_id for transaction_id, kept in left.items() if kept > 0)
    kept = sum(left.values())
    if len(keeping) > 1:
        text = f"the gateway has captured and not refunded {' and '.join(keeping)}"
        yield Difference(Kind.KEPT_TWICE, ours.order_id, text, transaction_id=keeping[-1], theirs=kept)
    if kept > ours.total:
        text = f"the gateway keeps {kept} of an order that costs {ours.total}"
        yield Difference(Kind.KEPT_TOO_MUCH, ours.order_id, text, ours=ours.total, theirs=kept)
    approved = Counter(e.operation_id for e in entries for f in e.effects if f.kind == "authorize")
    for operation_id, times in approved.items():
        if times > 1:
            text = f"the gateway has authorized operation {operation_id} {times} times"
            yield Difference(Kind.AUTHORIZED_TWICE, ours.order_id, text, ours=1, theirs=times)


def _of_missing(ours: OurOrder, attempt: OurAttempt) -> Iterator[Difference]:
    moved = attempt.authorized or attempt.captured or attempt.refunded
    if moved and attempt.listed:
        what = attempt.transaction_id or "no transaction"
        text = f"attempt {attempt.attempt} has moved money with {what}, which the gateway does not have"
        yield Difference(
            Kind.TRANSACTION_MISSING, ours.order_id, text, attempt.attempt, attempt.transaction_id, None, moved, 0
        )


def _of_attempt(ours: OurOrder, attempt: OurAttempt, entry: LedgerEntry, *, by_refund: bool) -> Iterator[Difference]:
    """Compare one attempt with its transaction. by_refund: its refunds are compared one by one."""
    amounts = [
        (Kind.AUTHORIZED, attempt.authorized, entry.authorized_minor),
        (Kind.CAPTURED, attempt.captured, entry.captured_minor),
    ]
    if not by_refund:
        amounts.append((Kind.REFUNDED, attempt.returned, entry.refunded_minor))
    for kind, our, their in amounts:
        # Each refund that we still wait for may have succeeded there.
        late = kind is Kind.REFUNDED and our < their <= our + ours.returning
        # We cancelled what nobody had decided on; the gateway may have approved it just before.
        unseen = kind is Kind.AUTHORIZED and our == 0 and attempt.voided and not entry.held_minor
        if our != their and not (late or unseen):
            yield _amounts(kind, ours, attempt, our, their)
    if entry.held_minor and (attempt.voided or ours.status in {"payment_failed", "cancelled"}):
        why = "voided attempt" if attempt.voided else "failed order's attempt"
        text = f"the gateway still holds {entry.held_minor} for {why} {attempt.attempt} ({entry.transaction_id})"
        yield Difference(
            Kind.STILL_HELD, ours.order_id, text, attempt.attempt, entry.transaction_id, None, 0, entry.held_minor
        )
    holds = attempt.authorized - attempt.captured if not attempt.voided and not attempt.captured else 0
    if holds and any(effect.kind == "cancel" for effect in entry.effects):
        text = f"attempt {attempt.attempt} holds {holds}, and the gateway has cancelled {entry.transaction_id}"
        yield Difference(Kind.HOLD_GONE, ours.order_id, text, attempt.attempt, entry.transaction_id, None, holds, 0)


def _amounts(kind: Kind, ours: OurOrder, attempt: OurAttempt, our: int, their: int) -> Difference:
    text = f"attempt {attempt.attempt} has {kind} {our}, and the gateway {their} ({attempt.transaction_id})"
    return Difference(kind, ours.order_id, text, attempt.attempt, attempt.transaction_id, None, our, their)


def _of_refunds(
    ours: OurOrder, attempt: OurAttempt, listed: Sequence[TheirRefund], *, whole: bool
) -> Iterator[Difference]:
    """Compare the refunds of one attempt. whole: the list has all of them, not only the late ones."""
    mine = [r for r in ours.refunds if r.transaction_id == attempt.transaction_id]
    ids = {r.operation_id for r in mine} | {r.reference for r in mine} | {attempt.refund_id}
    under_way = {r.operation_id for r in mine if r.unfinished} | {r.reference for r in mine if r.unfinished}
    theirs = [r for r in listed if r.transaction_id == attempt.transaction_id]
    back = sum(
        r.amount
        for r in theirs
        if r.state is RefundState.SUCCEEDED
        or (r.state is RefundState.PENDING and not {r.refund_id, r.operation_id} & under_way)
    )
    # Each refund that we still wait for may have succeeded there meanwhile. A part of the list shows too little.
    least = attempt.returned if whole else 0
    if not least <= back <= attempt.returned + ours.returning:
        yield _why(ours, attempt, theirs, ids, back)
    if whole:
        there = {r.refund_id for r in theirs} | {r.operation_id for r in theirs}
        for refund in mine:
            name = refund.reference or refund.operation_id
            outside = name.startswith(OUTSIDE)
            if refund.approved and not outside and not {refund.reference, refund.operation_id} & (there - {None}):
                text = f"attempt {attempt.attempt} has refund {name}, which the gateway does not have"
                yield Difference(
                    Kind.REFUND_MISSING, ours.order_id, text, attempt.attempt, attempt.transaction_id, refund.reference
                )


def _why(
    ours: OurOrder, attempt: OurAttempt, theirs: Sequence[TheirRefund], ids: set[str | None], back: int
) -> Difference:
    """Say why another amount is back than we believe."""
    plain = _amounts(Kind.REFUNDED, ours, attempt, attempt.returned, back)
    strange = [
        r for r in theirs if r.state is not RefundState.FAILED and not {r.refund_id, r.operation_id} & (ids - {None})
    ]
    failed = [r for r in theirs if r.state is RefundState.FAILED and {r.refund_id, r.operation_id} & (ids - {None})]
    if back > attempt.returned and strange:
        names = ", ".join(f"{r.refund_id} ({r.amount})" for r in strange)
        kind, text, first = Kind.REFUNDED_ELSEWHERE, f"{plain.text}; somebody else made refund {names}", strange[0]
    elif back < attempt.returned and failed:
        names = ", ".join(f"{r.refund_id} ({r.amount})" for r in failed)
        kind, text, first = Kind.REFUND_FAILED, f"{plain.text}; refund {names} failed", failed[0]
    else:
        return plain
    return Difference(
        kind, ours.order_id, text, attempt.attempt, attempt.transaction_id, first.refund_id, attempt.returned, back
    )

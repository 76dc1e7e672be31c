"""Answers of the gateway or of an inventory elsewhere that may have led to what is told, the likeliest first."""

from collections.abc import Iterator, Sequence
from typing import Final

from consumers.runtime.retelling.told import Told
from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind
from domain.order import Attempt
from domain.outcome import (
    AlreadyCaptured,
    AlreadySold,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    Missing,
    NotFound,
    OtherAmount,
    Outcome,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    TransactionMissing,
    Undecided,
    Unknown,
)
from schemas import events as e

_K = OperationKind
_OURS: Final = frozenset(
    {
        FailureCode.ACTION_EXPIRED,
        FailureCode.AMOUNT_DIFFERS,
        FailureCode.AUTHORIZATION_EXPIRED,
        FailureCode.CANCELLED_BY_OPERATOR,
        FailureCode.CAPTURE_REFUSED,
        FailureCode.ITEMS_UNAVAILABLE,
        FailureCode.ORDER_EXPIRED,
        FailureCode.PAYMENT_OVERDUE,
        FailureCode.RESERVATION_LAPSED,
    }
)
"""No gateway declines with these: a rule of ours gives them, and it may leave a call under way."""
_DECLINES: Final = {str(code): code for code in FailureCode if code not in _OURS}
WAITS: Final[tuple[type[Outcome], ...]] = (Pending, Unknown)
"""Answers that leave the operation unfinished."""
_RARE: Final[tuple[type[Outcome], ...]] = (OtherAmount, ReturnedElsewhere, TransactionMissing, NotFound, AlreadySold)


def is_odd(operation: Operation, outcome: Outcome) -> bool:
    """Whether such an answer is rare: a plainer explanation is looked for first."""
    if isinstance(outcome, _RARE):
        return True
    return isinstance(outcome, Approved) and outcome.amount_minor not in {0, operation.amount_minor}


def guess(operation: Operation, attempt: Attempt, next_told: Sequence[e.OwnEvent], told: Told) -> Iterator[Outcome]:
    """Yield answers to this operation. next_told: the events of the next decision; told: all of them."""
    transaction = operation.transaction_id or attempt.transaction_id or _transaction_of(attempt.number, told)
    about = [event for event in next_told if getattr(event, "attempt", attempt.number) == attempt.number]
    match operation.kind:
        case _K.AUTHORIZE:
            yield from _to_authorize(operation, transaction, about)
        case _K.CAPTURE:
            yield Approved(transaction, None, operation.amount_minor, captured=True)
            yield Declined(FailureCode.CAPTURE_REFUSED)
            yield Lapsed()
            yield from _given_back(transaction, attempt, about)
            yield from (OtherAmount(transaction or "", amount) for amount in _amounts(about))
            yield NotFound()
        case _K.VOID:
            yield Approved(transaction)
            yield Lapsed()
            yield from (AlreadyCaptured(transaction or "", amount) for amount in _amounts(about))
            yield AlreadyCaptured(transaction or "", attempt.authorized_minor or operation.amount_minor)
            yield Declined(FailureCode.GATEWAY_REFUSED)
        case _K.REFUND:
            yield from _to_refund(operation, transaction, attempt, about)
        case _:
            yield from _of_goods(operation, next_told)
    # Of an answer that was no end, the one that claims the least comes first.
    yield from (Unknown("no event tells its answer"), Pending(None, transaction), TransactionMissing())


def _to_authorize(operation: Operation, transaction: str | None, about: Sequence[e.OwnEvent]) -> Iterator[Outcome]:
    for event in about:
        yield from _authorized(event, transaction)
    amount = operation.amount_minor
    if transaction is not None:
        yield from (Approved(transaction, None, amount), Approved(transaction, None, amount, captured=True))
        yield from (CustomerMustAct(transaction), Undecided(transaction, "unknown", asks_customer=True))
        yield Undecided(transaction, "unknown")
        yield from (OtherAmount(transaction, other) for other in _amounts(about) if other != amount)
        yield from (OtherAmount(transaction, other, captured=True) for other in _amounts(about) if other != amount)
        yield OtherAmount(transaction, None)
    yield Lapsed(transaction)


def _authorized(event: e.OwnEvent, transaction: str | None) -> Iterator[Outcome]:
    """Yield answers of an authorization that such an event tells of."""
    match event:
        case e.PaymentAuthorized():
            yield Approved(
                event.transaction_id,
                None,
                event.amount_minor,
                captured=event.captured,
                expires_at=event.authorization_expires_at,
                livemode=event.livemode,
            )
        case e.CustomerActionRequired():
            yield CustomerMustAct(event.transaction_id, event.url)
        case e.PaymentFailed() if (code := _DECLINES.get(event.failure_code)) is not None:
            yield Declined(code, None, transaction)
            yield Declined(code, None, transaction, left_open=True)
        case e.PaymentRefunded():
            yield ReturnedElsewhere(event.amount_minor, event.refund_id, event.transaction_id)
        case _:
            pass


def _to_refund(
    operation: Operation, transaction: str | None, attempt: Attempt, about: Sequence[e.OwnEvent]
) -> Iterator[Outcome]:
    for event in about:
        if isinstance(event, e.PaymentRefunded) and event.request_id == operation.for_request:
            reference = None if event.refund_id == str(operation.operation_id) else event.refund_id
            yield Approved(transaction, reference, event.amount_minor)
    yield from _given_back(transaction, attempt, about)
    yield from (Declined(FailureCode.GATEWAY_REFUSED), Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed"))
    yield Lapsed()


def _given_back(transaction: str | None, attempt: Attempt, about: Sequence[e.OwnEvent]) -> Iterator[Outcome]:
    for event in about:
        if isinstance(event, e.PaymentRefunded):
            yield ReturnedElsewhere(attempt.refunded_minor + event.amount_minor, event.refund_id, transaction)


def _of_goods(operation: Operation, next_told: Sequence[e.OwnEvent]) -> Iterator[Outcome]:
    match operation.kind:
        case _K.RESERVE | _K.EXTEND:
            yield from (Reserved(event.expires_at) for event in next_told if isinstance(event, e.ItemsReserved))
            yield from _shortages(next_told)
            if operation.frozen is not None and operation.frozen.until is not None:
                yield Reserved(operation.frozen.until)
            yield Lapsed()
        case _K.CONFIRM:
            yield from (Approved(), Lapsed(), Declined(FailureCode.ITEMS_UNAVAILABLE))
        case _K.RELEASE:
            yield from (Approved(), AlreadySold())
        case _:
            yield from (Approved(), Declined(FailureCode.ITEMS_UNAVAILABLE))


def _shortages(next_told: Sequence[e.OwnEvent]) -> Iterator[Outcome]:
    for event in next_told:
        if isinstance(event, e.ReservationFailed) and event.missing:
            yield Short(tuple(Missing(m.sku, m.requested, m.available) for m in event.missing))


def _amounts(about: Sequence[e.OwnEvent]) -> list[int]:
    return list(dict.fromkeys(amount for event in about if (amount := getattr(event, "amount_minor", 0)) > 0))


def _transaction_of(attempt: int, told: Told) -> str | None:
    """Return the transaction that some event names for this attempt."""
    for event in told:
        named: str | None = getattr(event, "transaction_id", None)
        if named is not None and getattr(event, "attempt", 0) == attempt:
            return named
    return None

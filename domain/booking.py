"""Books the money that an outcome moved in its attempt, before any row of a table decides about the order."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind
from domain.order import Attempt
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    OtherAmount,
    Outcome,
    Pending,
    ReturnedElsewhere,
    Undecided,
)
from domain.values import replace


def book(attempt: Attempt, operation: Operation, outcome: Outcome, at: datetime, outside_minor: int = 0) -> Attempt:
    """Return the attempt with the money that this outcome moved, and with its failure code if it must fail.

    outside_minor: what an operator paid back past the gateway: no sum of the gateway has it.
    """
    book_kind = _BY_KIND.get(operation.kind)
    return attempt if book_kind is None else book_kind(attempt, operation, outcome, at, outside_minor)


def _book_authorize(attempt: Attempt, operation: Operation, outcome: Outcome, at: datetime, _: int) -> Attempt:
    match outcome:
        case Approved():
            amount = outcome.amount_minor or operation.amount_minor
            attempt = _book_approval(attempt, outcome.transaction_id, amount, at if outcome.captured else None)
            return replace(attempt, authorization_expires_at=outcome.expires_at, livemode=outcome.livemode)
        case OtherAmount():
            amount = outcome.amount_minor or 0
            attempt = _book_approval(attempt, outcome.transaction_id, amount, at if outcome.captured else None)
            # An attempt that has failed already keeps its reason.
            return replace(attempt, failure_code=attempt.failure_code or FailureCode.AMOUNT_DIFFERS)
        case ReturnedElsewhere():
            return _book_returned(_book_approval(attempt, outcome.transaction_id, operation.amount_minor, at), outcome)
        case Undecided():
            code = attempt.failure_code or _code_of(attempt, outcome)
            return replace(attempt, transaction_id=outcome.transaction_id, failure_code=code)
        case CustomerMustAct():
            return replace(attempt, transaction_id=outcome.transaction_id)
        case Lapsed() if outcome.transaction_id is not None:
            # What the gateway had approved, and we never saw, holds nothing any more.
            return replace(attempt, transaction_id=outcome.transaction_id, voided=True)
        case Declined() | Pending():
            return replace(attempt, transaction_id=outcome.transaction_id or attempt.transaction_id)
        case _:
            return attempt


def _code_of(attempt: Attempt, outcome: Undecided) -> FailureCode:
    if not outcome.asks_customer:
        return FailureCode.ISSUER_UNAVAILABLE
    asked = attempt.action_expires_at is not None
    return FailureCode.AUTHENTICATION_FAILED if asked else FailureCode.AUTHENTICATION_REQUIRED


def _book_approval(attempt: Attempt, transaction_id: str | None, amount: int, captured_at: datetime | None) -> Attempt:
    return replace(
        attempt,
        transaction_id=transaction_id,
        authorized_minor=amount,
        captured_minor=amount if captured_at else 0,
        captured_at=captured_at if amount else None,
    )


def _book_capture(attempt: Attempt, operation: Operation, outcome: Outcome, at: datetime, _: int) -> Attempt:
    match outcome:
        case Approved():
            return _take(attempt, outcome.amount_minor or operation.amount_minor, at)
        case OtherAmount():
            return _take(attempt, outcome.amount_minor or 0, at)
        case ReturnedElsewhere():
            return _book_returned(_take(attempt, operation.amount_minor, at), outcome)
        case AlreadyCaptured():
            return _take(attempt, outcome.amount_minor, at)
        case Declined():
            return replace(attempt, failure_code=FailureCode.CAPTURE_REFUSED)
        case Lapsed():
            return replace(attempt, voided=True)
        case _:
            return attempt


def _book_void(attempt: Attempt, _: Operation, outcome: Outcome, at: datetime, __: int) -> Attempt:
    match outcome:
        case AlreadyCaptured():
            return _take(attempt, outcome.amount_minor, at)
        case Approved() | Lapsed():
            return replace(attempt, voided=True)
        case _:
            return attempt


def _book_goods(attempt: Attempt, _: Operation, outcome: Outcome, __: datetime, ___: int) -> Attempt:
    if not isinstance(outcome, Lapsed):
        return attempt
    # An attempt that has failed already keeps its reason.
    return replace(attempt, failure_code=attempt.failure_code or FailureCode.RESERVATION_LAPSED)


def _take(attempt: Attempt, amount: int, at: datetime) -> Attempt:
    """Return the attempt with this much captured."""
    return replace(
        attempt,
        # If the approval was never seen, nothing was authorized as far as we knew.
        authorized_minor=attempt.authorized_minor or amount,
        captured_minor=amount,
        captured_at=attempt.captured_at or at,
    )


def _book_returned(attempt: Attempt, outcome: ReturnedElsewhere) -> Attempt:
    """Return the attempt, all of whose money was taken, with what somebody gave back of it: it must fail."""
    return replace(
        attempt,
        refunded_minor=min(outcome.total_minor, attempt.captured_minor),
        refund_id=outcome.reference,
        # An attempt that has failed already keeps its reason.
        failure_code=attempt.failure_code or FailureCode.CANCELLED_BY_OPERATOR,
    )


def _book_refund(attempt: Attempt, operation: Operation, outcome: Outcome, _: datetime, outside_minor: int) -> Attempt:
    match outcome:
        case Approved():
            return replace(
                attempt,
                refunded_minor=attempt.refunded_minor + (outcome.amount_minor or operation.amount_minor),
                refund_id=outcome.reference or attempt.refund_id,
            )
        case ReturnedElsewhere():
            back = outcome.total_minor + outside_minor
            returned = max(attempt.refunded_minor, min(back, attempt.captured_minor))
            return replace(attempt, refunded_minor=returned, refund_id=outcome.reference)
        case Pending():
            return replace(attempt, refund_id=outcome.reference or attempt.refund_id)
        case _:
            return attempt


_BY_KIND: Final[dict[OperationKind, Callable[[Attempt, Operation, Outcome, datetime, int], Attempt]]] = {
    OperationKind.AUTHORIZE: _book_authorize,
    OperationKind.CAPTURE: _book_capture,
    OperationKind.VOID: _book_void,
    OperationKind.REFUND: _book_refund,
    OperationKind.CONFIRM: _book_goods,
    OperationKind.EXTEND: _book_goods,
}
"""What an outcome of each kind moves. The others move no money."""

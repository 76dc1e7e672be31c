"""Books the money that an outcome moved in its attempt, before any row of a table decides about the order."""

from datetime import datetime

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
    match operation.kind, outcome:
        case OperationKind.AUTHORIZE, _:
            return _book_authorize(attempt, operation, outcome, at)
        case OperationKind.REFUND, _:
            return _book_refund(attempt, operation, outcome, outside_minor)
        case OperationKind.CAPTURE, Approved():
            return _book_capture(attempt, outcome.amount_minor or operation.amount_minor, at)
        case OperationKind.CAPTURE, OtherAmount():
            return _book_capture(attempt, outcome.amount_minor or 0, at)
        case OperationKind.CAPTURE, ReturnedElsewhere():
            return _book_returned(_book_capture(attempt, operation.amount_minor, at), outcome)
        case OperationKind.CAPTURE, Declined():
            return replace(attempt, failure_code=FailureCode.CAPTURE_REFUSED)
        case OperationKind.CAPTURE | OperationKind.VOID, AlreadyCaptured():
            return _book_capture(attempt, outcome.amount_minor, at)
        case OperationKind.CONFIRM | OperationKind.EXTEND, Lapsed():
            # An attempt that has failed already keeps its reason.
            return replace(attempt, failure_code=attempt.failure_code or FailureCode.RESERVATION_LAPSED)
        case (OperationKind.VOID, Approved() | Lapsed()) | (OperationKind.CAPTURE, Lapsed()):
            return replace(attempt, voided=True)
        case _:
            return attempt


def _book_authorize(attempt: Attempt, operation: Operation, outcome: Outcome, at: datetime) -> Attempt:
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


def _book_capture(attempt: Attempt, amount: int, at: datetime) -> Attempt:
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


def _book_refund(attempt: Attempt, operation: Operation, outcome: Outcome, outside_minor: int) -> Attempt:
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

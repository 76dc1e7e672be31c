"""Books the money that an outcome moved in its attempt, before any row of a table decides about the order."""

from datetime import datetime

from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind
from domain.order import Attempt
from domain.outcome import AlreadyCaptured, Approved, Declined, Lapsed, Outcome, Pending
from domain.values import replace


def book(attempt: Attempt, operation: Operation, outcome: Outcome, at: datetime) -> Attempt:
    """Return the attempt with the money that this outcome moved, and with its failure code if it must fail."""
    match operation.kind, outcome:
        case OperationKind.AUTHORIZE, Approved():
            return _book_authorization(attempt, operation, outcome, at)
        case OperationKind.AUTHORIZE, Declined() | Pending():
            return replace(attempt, transaction_id=outcome.transaction_id or attempt.transaction_id)
        case OperationKind.CAPTURE, Approved():
            amount = outcome.amount_minor or operation.amount_minor
            return replace(attempt, captured_minor=amount, captured_at=attempt.captured_at or at)
        case OperationKind.CAPTURE, Declined():
            return replace(attempt, failure_code=FailureCode.CAPTURE_REFUSED)
        case OperationKind.CAPTURE | OperationKind.VOID, AlreadyCaptured():
            return replace(attempt, captured_minor=outcome.amount_minor, captured_at=attempt.captured_at or at)
        case (OperationKind.VOID, Approved() | Lapsed()) | (OperationKind.CAPTURE, Lapsed()):
            return replace(attempt, voided=True)
        case OperationKind.REFUND, Approved():
            return replace(
                attempt,
                refunded_minor=attempt.refunded_minor + operation.amount_minor,
                refund_id=outcome.reference or attempt.refund_id,
            )
        case OperationKind.REFUND, Pending():
            return replace(attempt, refund_id=outcome.reference or attempt.refund_id)
        case _:
            return attempt


def _book_authorization(attempt: Attempt, operation: Operation, outcome: Approved, at: datetime) -> Attempt:
    amount = outcome.amount_minor or operation.amount_minor
    return replace(
        attempt,
        transaction_id=outcome.transaction_id,
        authorized_minor=amount,
        captured_minor=amount if outcome.captured else 0,
        captured_at=at if outcome.captured else None,
        authorization_expires_at=outcome.expires_at,
        livemode=outcome.livemode,
    )

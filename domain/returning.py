"""What went back of an attempt's money, as an event, and where the customer's money is."""

from domain.case import Case
from domain.decision import Draft
from domain.operation import Operation, OperationKind
from domain.order import Attempt, Order
from domain.outcome import Approved, ReturnedElsewhere
from domain.pending import waits_for_others
from schemas.events import MoneyState, PaymentRefunded, PaymentVoided

RETURNS = frozenset({OperationKind.VOID, OperationKind.REFUND})
"""The operations that give money back, or let it go."""


def money_state(order: Order, attempt: Attempt) -> MoneyState:
    """Return where the customer's money is: RETURNED only if we had captured it, NONE after a void or a decline."""
    if any(o.unfinished and o.kind is OperationKind.REFUND and o.attempt == attempt.number for o in order.operations):
        return MoneyState.RETURNING
    if attempt.kept_minor or attempt.held_minor:
        return MoneyState.HELD
    return MoneyState.RETURNED if attempt.refunded_minor else MoneyState.NONE


def others_under_way(order: Order, operation: Operation) -> bool:
    """Whether this is a refund, and other refunds of its payment that may have been made have no outcome yet.

    One that the gateway has refused for a refund of others has not been made: two such would wait for each other.
    """
    return operation.kind is OperationKind.REFUND and any(
        o.unfinished
        and o.kind is OperationKind.REFUND
        and o.attempt == operation.attempt
        and o.operation_id.int != operation.operation_id.int
        and not waits_for_others(o)
        for o in order.operations
    )


def draft_return(case: Case) -> tuple[Draft, ...]:
    """Draft PaymentVoided or PaymentRefunded for money that went back; nothing while a refund is pending."""
    operation = case.operation
    if operation is None:
        return ()
    # What an authorize or a capture finds given back was given back by somebody else.
    if operation.kind not in RETURNS and not isinstance(case.outcome, ReturnedElsewhere):
        return ()
    attempt = case.attempt
    amount = operation.amount_minor if operation.kind is OperationKind.VOID else case.returned_minor
    if amount <= 0:
        return ()
    fields = {
        "attempt": attempt.number,
        "transaction_id": attempt.transaction_id,
        "amount_minor": amount,
        "currency": case.order.currency,
    }
    if operation.kind is OperationKind.VOID:
        return (Draft(PaymentVoided, fields),)
    # If the gateway gave no refund id, it knows the refund by the operation's id, which we sent as metadata.
    refund_id = getattr(case.outcome, "reference", None) or operation.reference or str(operation.operation_id)
    # What others gave back was not what somebody asked us for.
    request_id = operation.for_request if isinstance(case.outcome, Approved) else None
    return (Draft(PaymentRefunded, {**fields, "refund_id": refund_id, "request_id": request_id}),)

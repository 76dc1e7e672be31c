"""Closes operations: with their definite outcome, and what an operator should know of it."""

from datetime import datetime
from typing import Final

from domain.operation import Operation, OperationState
from domain.outcome import (
    AlreadySold,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    OtherAmount,
    Outcome,
    ReturnedElsewhere,
    Short,
    Undecided,
)
from domain.rules import Context
from domain.values import replace

ELSEWHERE: Final = "given back elsewhere"
"""How the detail of a refund begins that somebody else made. The audit looks for it."""
IN_BOOKS: Final = "refused: money went back before, as our books have it"
"""The detail of a refund that the gateway refused for what we had booked before."""
FAILED_LATER: Final = "failed later: "
"""How the detail of a refund begins that was taken back, after it or what it had found counted as given back."""
_STATES: Final = {
    Declined: OperationState.DECLINED,
    Short: OperationState.DECLINED,
    Lapsed: OperationState.DECLINED,
    ReturnedElsewhere: OperationState.DECLINED,
    AlreadySold: OperationState.DECLINED,
    Undecided: OperationState.NOT_EXECUTED,
    CustomerMustAct: OperationState.NOT_EXECUTED,
}
"""How a definite outcome closes an operation, if not as approved. What nobody decided is cancelled."""


def close(operation: Operation, outcome: Outcome, context: Context, returned_minor: int | None = None) -> Operation:
    """Return the operation with its definite outcome. returned_minor: what came back by it that was not booked."""
    in_books = returned_minor == 0 and isinstance(outcome, ReturnedElsewhere)
    return replace(
        operation,
        state=_STATES.get(type(outcome), OperationState.APPROVED),
        # Such money has an event of its own already, and its detail would count it once more.
        detail=IN_BOOKS if in_books else detail_of(outcome),
        reference=getattr(outcome, "reference", None) or operation.reference,
        transaction_id=getattr(outcome, "transaction_id", None) or operation.transaction_id,
        settled_at=context.at,
        due_at=None,
    )


def fail_later(refund: Operation, reason: str, at: datetime) -> Operation:
    """Return a refund that had succeeded as one that failed after all, at this time: that is its end now.

    An answer of the gateway may be from before that end, however long ago the refund had succeeded.
    """
    return replace(refund, state=OperationState.DECLINED, detail=f"{FAILED_LATER}{reason}", settled_at=at)


def detail_of(outcome: Outcome) -> str | None:
    """Return what an operator should know of a definite outcome besides the state that it leads to."""
    if type(outcome) is Approved:  # most are
        return None
    match outcome:
        case Undecided():
            return f"no decision ({outcome.status}): cancelled"
        case CustomerMustAct():
            return "not confirmed in time: cancelled"
        case OtherAmount():
            return f"amount {'in another currency' if outcome.amount_minor is None else outcome.amount_minor}"
        case ReturnedElsewhere():
            return f"{ELSEWHERE}: {outcome.total_minor} in all"
        case Declined():
            return outcome.gateway_code or str(outcome.code)
        case Short():
            return ", ".join(m.sku for m in outcome.missing)[:200]
        case Lapsed():
            return "lapsed"
        case AlreadySold():
            return "sold there: put back into stock"
        case _:
            return None

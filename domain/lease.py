"""Settles the answer of a call whose operation may be under another process's lease by now."""

from datetime import datetime
from typing import Final

from domain.decision import NOTHING, Decision
from domain.operating import count_answer
from domain.operation import Operation, OperationKind
from domain.order import Order, Status
from domain.outcome import (
    CustomerMustAct,
    NotExecuted,
    NotFound,
    Outcome,
    ReturnedElsewhere,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.reaction import Settle
from domain.rules import Context
from domain.values import replace

_INDEFINITE: Final = (Unknown, NotExecuted, NotFound, Undecided, CustomerMustAct, TransactionMissing)


def looks_back(order: Order, operation: Operation, outcome: Outcome) -> bool:
    """Whether this answer is settled by what has ended before, too: then the order needs its closed operations.

    What somebody else gave back is told as a sum, and our books have more beside it. In a review a refund that was
    under way may end behind later tries of its kind.
    """
    if operation.kind not in {OperationKind.REFUND, OperationKind.VOID}:
        return False
    return isinstance(outcome, ReturnedElsewhere) or order.status is Status.MANUAL_REVIEW


def settle_answer(
    settle: Settle,
    order: Order,
    operation: Operation,
    outcome: Outcome,
    lease: datetime | None,
    context: Context,
    request_id: str | None = None,
) -> Decision:
    """Settle the answer of a call. lease: the operation's due_at when it was called; None: it needed no lease.

    request_id: the gateway's id of the request that was answered; the operation keeps the last one.

    A definite answer always counts. An answer that leaves the operation unfinished must not end the lease of another
    process, whose call may be under way: the operation stays due when that lease ends.
    """
    is_late = lease is not None and lease != operation.due_at
    if is_late and operation.due_at is None and isinstance(outcome, _INDEFINITE):
        return NOTHING  # It is under review by now, and this answer says nothing new.
    counted = count_answer(operation, outcome)
    if request_id is not None:
        counted = replace(counted, request_id=request_id)
    decision = settle(order, counted, outcome, context)
    if not is_late or operation.due_at is None or decision.order is None:
        return decision
    decided = decision.order.operation(operation.operation_id)
    if decided is None or decided.due_at is None:
        return decision
    return replace(decision, order=decision.order.with_operation(replace(decided, due_at=operation.due_at)))

"""Settling what a call came to under the lease that its operation has by now, which may be another's."""

from datetime import datetime
from typing import Final

from domain.decision import NOTHING, Decision
from domain.operating import count_answer
from domain.operation import Operation
from domain.order import Order
from domain.outcome import NotExecuted, NotFound, Outcome, Unknown
from domain.reaction import Settle
from domain.rules import Context
from domain.values import replace

_INDEFINITE: Final = (Unknown, NotExecuted, NotFound)


def settle_answer(
    settle: Settle, order: Order, operation: Operation, outcome: Outcome, lease: datetime | None, context: Context
) -> Decision:
    """Settle the answer of a call. lease: the operation's due_at while it was called; None: it needed none.

    A definite answer counts whoever brings it. One that leaves the operation waiting must not end the lease of somebody
    else, whose call may be under way: then it is due when that lease ends, and not before.
    """
    is_late = lease is not None and lease != operation.due_at
    if is_late and operation.due_at is None and isinstance(outcome, _INDEFINITE):
        return NOTHING  # A person has it by now, and this tells nothing new.
    decision = settle(order, count_answer(operation, outcome), outcome, context)
    if not is_late or operation.due_at is None or decision.order is None:
        return decision
    decided = decision.order.operation(operation.operation_id)
    if decided is None or decided.due_at is None:
        return decision
    return replace(decision, order=decision.order.with_operation(replace(decided, due_at=operation.due_at)))

"""What must still be done of a refused call, and the next tries of calls: an old key holds an old answer."""

from collections.abc import Sequence

from domain.decision import Decision
from domain.operation import Operation, OperationKind, operation_id
from domain.order import Order
from domain.values import replace


def is_owed(order: Order, refused: Operation) -> bool:
    """Whether what was refused must still be done. A void of what nobody had decided on is about no amount."""
    attempt = order.attempts[refused.attempt - 1]
    undecided = refused.kind is OperationKind.VOID and refused.amount_minor == 0 and not attempt.voided
    return owed(order, refused) > 0 or undecided


def owed(order: Order, call: Operation) -> int:
    """Return what the call's attempt keeps, or else holds, in minor units."""
    attempt = order.attempts[call.attempt - 1]
    return attempt.kept_minor or attempt.held_minor


def renumber(decision: Decision, history: Sequence[Operation]) -> Decision:
    """Give operations that were opened here a try number that no earlier operation has."""
    if decision.order is None:
        return decision
    known = {o.operation_id.int for o in history}
    operations = tuple(
        give_next_number(o, history) if o.operation_id.int in known and o.unfinished else o
        for o in decision.order.operations
    )
    return replace(decision, order=replace(decision.order, operations=operations))


def give_next_number(operation: Operation, history: Sequence[Operation]) -> Operation:
    """Return the operation as the next try: with a key that was never used."""
    like = [o.try_number for o in history if (o.attempt, o.kind) == (operation.attempt, operation.kind)]
    number = max([0, *like]) + 1
    name = operation_id(operation.order_id, operation.attempt, operation.kind, number)
    return replace(operation, operation_id=name, try_number=number)

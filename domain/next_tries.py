"""What a person has sent again: whether it is owed still, and as which try: one that no earlier operation was."""

from collections.abc import Iterable, Sequence
from typing import Final

from domain.decision import Decision
from domain.operation import Operation, OperationKind, OperationState, operation_id
from domain.order import Order, Status
from domain.paid_review import lacks_refund, request_of
from domain.refunding import amount_of
from domain.values import replace

_REFUSED: Final = {"refund_failed": OperationKind.REFUND, "void_refused": OperationKind.VOID}
"""By the reason of the review."""


def renumber(decision: Decision, before: Order, history: Sequence[Operation]) -> Decision:
    """Give operations that were opened here a try number that no earlier operation has. before: the order as loaded."""
    if decision.order is None:
        return decision
    known = {o.operation_id.int for o in history} - {o.operation_id.int for o in before.operations}
    operations = tuple(
        give_next_number(o, history) if o.operation_id.int in known and o.unfinished else o
        for o in decision.order.operations
    )
    return replace(decision, order=replace(decision.order, operations=operations))


def give_next_number(operation: Operation, history: Sequence[Operation]) -> Operation:
    """Return the operation as the next try: with a number, and so with a key, that no earlier one of its kind has."""
    key = (operation.attempt, operation.kind, operation.for_request)
    number = max([0, *(o.try_number for o in history if (o.attempt, o.kind, o.for_request) == key)]) + 1
    name = operation_id(operation.order_id, *key[:2], number, operation.for_request)
    return replace(operation, operation_id=name, try_number=number)


def refused_ones(order: Order, history: Iterable[Operation]) -> list[Operation]:
    """Return the voids or refunds that the gateway refused and a person is asked about, those to be asked first first.

    What somebody asked for comes before what a cancel gives back with the rest. history: oldest first.
    """
    kind = _REFUSED.get(order.review_reason or "")
    # A try number below 0 is a refund of somebody else: it has no key, and is not sent again.
    refused = [o for o in history if o.kind is kind and o.state is OperationState.DECLINED and o.try_number > 0]
    owed_ones = [o for o in reversed(refused) if is_owed(order, o)]
    return sorted(owed_ones, key=lambda o: o.for_request is None)


def is_owed(order: Order, refused: Operation) -> bool:
    """Whether what was refused must still be done. A void of what nobody had decided on is about no amount."""
    if (request := request_of(order, refused)) is not None:
        return lacks_refund(order, request)
    paid_for_good = order.effective_status is Status.PAID_AND_CONFIRMED and order.cancel is None
    if paid_for_good and refused.attempt == order.attempt:
        return False  # of a cancel that was refused after all: the order keeps its money
    attempt = order.attempts[refused.attempt - 1]
    undecided = refused.kind is OperationKind.VOID and refused.amount_minor == 0 and not attempt.voided
    return owed(order, refused) > 0 or undecided


def owed(order: Order, call: Operation) -> int:
    """Return what a void or refund has still to give back, in minor units."""
    if (request := request_of(order, call)) is not None:
        # Parts of the request may have been given back, by this call or by others of it.
        return max(amount_of(order, request, call), 0) or call.amount_minor
    attempt = order.attempts[call.attempt - 1]
    return order.left_minor(attempt, call) or attempt.held_minor

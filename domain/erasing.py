"""When the payment token of an attempt is erased: as soon as no call that needs it can be made any more.

Only an authorize needs it, and one is opened in the decision that begins its attempt. So every decision asks, and an
order that is final, or whose review is decided, holds no token.
"""

from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order, Status
from domain.values import replace


def erase_tokens(order: Order) -> Order:
    """Return the order without the tokens that no call may need any more."""
    for attempt in order.attempts:
        if attempt.token is not None and not _is_needed(order, attempt.number):
            order = order.with_attempt(replace(attempt, token=None))
    return order


def _is_needed(order: Order, attempt: int) -> bool:
    reviewed = order.status is Status.MANUAL_REVIEW
    for o in order.operations:
        if o.kind is OperationKind.AUTHORIZE and o.attempt == attempt and _may_be_sent(o, reviewed=reviewed):
            return True
    return False


def _may_be_sent(operation: Operation, *, reviewed: bool) -> bool:
    """Whether this authorize may still be sent, or sent again. See operating.next_move and may_send_again.

    What the gateway has accepted, or answers with a stored failure, is only looked up. So is what was given up: under
    review, an operator says what came of it.
    """
    given_up = reviewed and operation.due_at is None
    return (
        operation.unfinished
        and operation.state is not OperationState.PENDING
        and not operation.replayed
        and not given_up
    )

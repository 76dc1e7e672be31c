"""What the gateway's answers make of a refund on request."""

from typing import Final

from domain.case import Case
from domain.decision import Decision, Draft, emit, silent
from domain.notifying import draft_notice
from domain.operation import OperationKind, OperationState
from domain.order import Order
from domain.outcome import Approved
from domain.paid_review import leave_review
from domain.pending import waits_for_others
from domain.refunding import refuse_request
from domain.requests import RequestKind, RequestState, find
from domain.restocking import end_request
from domain.returning import draft_return
from domain.values import replace
from schemas.events import MoneyState, NotificationKind, RefundRefusal

REFUNDED: Final = "Your money is on its way back to you."
REFUND: Final = OperationKind.REFUND

# The gateway answers


def unexplained(case: Case) -> bool:
    """Whether the gateway refuses for money that others gave back, and that does not explain it."""
    return case.returned_minor == 0 and case.left_minor >= case.call.amount_minor


def in_part(case: Case) -> bool:
    """Whether less was refunded than was asked for."""
    moved = case.outcome_as(Approved).amount_minor
    return 0 < moved < case.call.amount_minor


def ask_again(case: Case) -> Decision:
    """Have the request taken again, as the next try: what others were giving back came to nothing."""
    ended = replace(case.call, state=OperationState.NOT_EXECUTED, settled_at=case.context.at, due_at=None)
    return silent(_wait_again(case.order.with_operation(ended), case))


def give_way(case: Case) -> Decision:
    """Emit what others gave back, and have the request taken again: it is refused if too little is kept now."""
    returned = draft_return(case)
    order = _wait_again(case.order, case)
    return emit(order, case.context, *returned) if returned else silent(order)


def refund_rest(case: Case) -> Decision:
    """Emit the part that was refunded, and have the request taken again for the rest."""
    told = end_refund_on_request(case)
    assert told.order is not None
    return replace(told, order=_wait_again(told.order, case))


def _wait_again(order: Order, case: Case) -> Order:
    """Return the order with the request waiting: whoever settles takes what waits, if nothing else is under way."""
    request = find(order.requests, RequestKind.REFUND, case.call.for_request or "")
    assert request is not None, "an operation on request has its request"
    return order.with_request(replace(request, state=RequestState.WAITING))


def end_refund_on_request(case: Case) -> Decision:
    """Emit that the money is on its way back, and notify the customer of its amount. End a review about it."""
    order, call = case.order, case.call
    request = find(order.requests, RequestKind.REFUND, call.for_request or "")
    assert request is not None, "an operation on request has its request"
    request = replace(request, returned_minor=request.returned_minor + case.returned_minor)
    order = end_request(order.with_request(request), call, case.context)
    notice = draft_notice(order, case.attempt, NotificationKind.REFUNDED, REFUNDED, MoneyState.RETURNED)
    told = Draft(notice.event, {**notice.fields, "amount_minor": case.returned_minor})
    return leave_review(emit(order, case.context, *draft_return(case), told))


def refuse_disputed(case: Case) -> Decision:
    """Refuse the request after all: the payment was disputed meanwhile, and the gateway refuses to refund it."""
    order = case.order
    request = find(order.requests, RequestKind.REFUND, case.call.for_request or "")
    assert request is not None, "an operation on request has its request"
    context = replace(case.context, causation_id=request.causation_id or case.context.causation_id)
    return leave_review(refuse_request(order, request, RefundRefusal.DISPUTED, context))


def others_came_to_nothing(case: Case) -> bool:
    """Whether somebody else's refund, for which ours was refused, has come to nothing."""
    return waits_for_others(case.call)

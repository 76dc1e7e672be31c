"""A second person says yes to a request, or nobody does in time."""

from domain.approval import Person, is_unapproved, waiting_for_approval
from domain.cancel_refusals import draft_notice_of_refusal, draft_refused
from domain.cancel_requests import paid_at
from domain.carrying_on import CANCELS, carry_on
from domain.case import Case
from domain.decision import NOTHING, Decision, emit, silent
from domain.order import Order, Status
from domain.refunding import join, refuse_request
from domain.requests import Request, RequestKind, RequestState
from domain.rules import Context, span
from domain.ruling import No
from domain.values import replace
from schemas.events import CancellationRefusal, RefundRefusal


def approve(order: Order, request_id: str, person: Person, context: Context) -> Decision | No:
    """Approve a request that waits for a second person, and take it if nothing else is under way.

    What is opened is due at once: the sweep makes the calls.
    """
    context = replace(context, rules=replace(context.rules, lease_s=0))
    request = waiting_for_approval(order, request_id)
    if request is None:
        known = next((r for r in order.requests if r.request_id == request_id), None)
        if known is None:
            return No(f"order {order.order_id} has no request {request_id}: see `payments order show {order.order_id}`")
        return No(f"request {request_id} is {known.state}: it waits for nobody")
    if person.is_requester(request):
        asked = request.operator or request.requested_by
        return No(f"you have asked for {request_id} yourself ({asked}): somebody else approves it")
    if is_unapproved(request, context.at, context.rules):
        return No(f"request {request_id} was not approved in time; it is being refused: ask anew if it is still wanted")
    # Behind a cancel that is noted it waits, and ends with that one.
    judged = request.kind is RequestKind.CANCEL and order.cancel is None
    if judged and (why := _too_late(order, context)) is not None:
        return _refuse_cancel(order, request, why, context)
    approved = replace(request, state=RequestState.WAITING, approved_by=person.identity, approved_at=context.at)
    return carry_on(Case(order, context, CANCELS), silent(order.with_request(approved)))


def refuse_unapproved(order: Order, context: Context) -> Decision:
    """Refuse the requests that no second person has approved in time."""
    decision = NOTHING
    for request in order.requests:
        if not is_unapproved(request, context.at, context.rules):
            continue
        order = decision.order or order
        because = replace(context, causation_id=request.causation_id)
        if request.kind is RequestKind.REFUND:
            refused = refuse_request(order, request, RefundRefusal.NOT_APPROVED, because)
        else:
            refused = _refuse_cancel(order, request, CancellationRefusal.NOT_APPROVED, because)
        decision = join(decision, refused)
    return decision


def _too_late(order: Order, context: Context) -> CancellationRefusal | None:
    """Return why a cancel is refused that was asked for in time, and approved now."""
    if order.effective_status is Status.CANCELLED:
        return CancellationRefusal.ALREADY_CANCELLED
    if order.effective_status is Status.PAYMENT_FAILED and not order.retryable:
        return CancellationRefusal.PAYMENT_FAILED
    if order.preparation_started_at is not None:
        return CancellationRefusal.PREPARATION_STARTED
    if order.effective_status is not Status.PAID_AND_CONFIRMED:
        return None
    if order.disputed:
        return CancellationRefusal.DISPUTED
    late = context.at > paid_at(order) + span(context.rules.cancel_window_s)
    return CancellationRefusal.TOO_LATE if late else None


def _refuse_cancel(order: Order, request: Request, why: CancellationRefusal, context: Context) -> Decision:
    refused = replace(request, state=RequestState.REFUSED, refused=why.value, ended_at=context.at)
    order = order.with_request(refused)
    told = draft_refused(order, request.request_id, why)
    return emit(order, context, told, draft_notice_of_refusal(order, why))

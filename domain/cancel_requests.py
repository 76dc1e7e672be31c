"""Requests to cancel an order as they come: noted, refused, or said before. What is noted is carried out in time."""

from datetime import datetime
from typing import Final

from domain.approval import needs_approval
from domain.cancel_refusals import draft_notice_of_refusal, draft_refused
from domain.cancelling import begin_cancelled, carry_out, is_under_way
from domain.case import Case
from domain.decision import Decision, emit, refuse, silent
from domain.opening import begin_order
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.requests import REQUESTS_MAX, Request, RequestKind, RequestState, find, hash_request
from domain.rules import Context, span
from domain.values import replace
from schemas.events import CancellationRefusal, OrderCancelRequested, OrderConfirmed, PreparationStarted
from schemas.rejection import Reason

CONFLICT: Final = (
    "a cancel with this request_id and other content was asked for before; give each request an id of its own."
)
TOO_MANY: Final = f"this order has {REQUESTS_MAX} requests already; look at who sends them."

# Conditions of plans


def asked_before(case: Case) -> bool:
    """Whether this cancel was asked for before, with the same content."""
    known = _known(case)
    return known is not None and known.content_hash == _hash(case.event_as(OrderCancelRequested))


def asked_otherwise(case: Case) -> bool:
    """Whether another cancel had this id."""
    return _known(case) is not None


def asked_too_often(case: Case) -> bool:
    """Whether the order keeps as many requests as it may."""
    return len(case.order.requests) >= REQUESTS_MAX


def is_cancelled(case: Case) -> bool:
    """Whether the order is cancelled."""
    return case.order.effective_status is Status.CANCELLED


def cancel_is_noted(case: Case) -> bool:
    """Whether another cancel is noted on the order."""
    return case.order.cancel is not None


def failed_for_good(case: Case) -> bool:
    """Whether the payment has failed, and no other method may be tried."""
    return case.order.effective_status is Status.PAYMENT_FAILED and not case.order.retryable


def preparation_began(case: Case) -> bool:
    """Whether order preparation has begun."""
    return case.order.preparation_started_at is not None


def paid_and_disputed(case: Case) -> bool:
    """Whether the order is paid, and the gateway refuses refunds because of a dispute."""
    return case.order.effective_status is Status.PAID_AND_CONFIRMED and case.order.disputed


def paid_too_long_ago(case: Case) -> bool:
    """Whether the order was paid so long ago that it is not cancelled any more."""
    order = case.order
    if order.effective_status is not Status.PAID_AND_CONFIRMED:
        return False
    return case.context.at > paid_at(order) + span(case.context.rules.cancel_window_s)


def cancelled_early(case: Case) -> bool:
    """Whether a cancel came before its order. One that came after the begin of the preparation does not count."""
    first = next((e for e in case.context.early if isinstance(e, OrderCancelRequested | PreparationStarted)), None)
    return isinstance(first, OrderCancelRequested)


# Steps of plans


def note_cancel(case: Case) -> Decision:
    """Note the cancel; carry it out if nothing is under way."""
    request = _request(case, RequestState.WAITING)
    if needs_approval(case.order, request, case.order.left_minor(case.order.current), case.context.rules):
        # It is not noted before a second person has approved it. Window and preparation are looked at again then.
        return silent(case.order.with_request(replace(request, state=RequestState.APPROVAL)))
    order = case.order.with_request(request)
    if is_under_way(order):
        return silent(_wake(order, case.context))
    return carry_out(replace(case, order=order))


def wait_behind(case: Case) -> Decision:
    """Keep the cancel behind the one that is noted, whose end is its own: cancelled already, or disputed.

    It is never carried out itself, so nobody needs to approve it.
    """
    return silent(case.order.with_request(_request(case, RequestState.WAITING)))


def begin_cancelled_early(case: Case) -> Decision:
    """Begin and cancel an order whose cancel came before it: nothing is called."""
    event = next(e for e in case.context.early if isinstance(e, OrderCancelRequested))
    context = replace(case.context, causation_id=event.event_id)
    order = begin_order(case.event_as(OrderConfirmed), case.context)
    request = _request(replace(case, order=order, event=event, context=context), RequestState.WAITING)
    return begin_cancelled(order, request, case.context)


def refuse_other_content(_: Case) -> Decision:
    """Refuse a second cancel with this id, whose content is another."""
    return refuse(Reason.CONFLICT, CONFLICT)


def refuse_another(_: Case) -> Decision:
    """Refuse one request more than an order keeps."""
    return refuse(Reason.ILLEGAL_TRANSITION, TOO_MANY)


def refuse_cancelled(case: Case) -> Decision:
    """Refuse the cancel: the order is cancelled already."""
    return refuse_cancel(case, CancellationRefusal.ALREADY_CANCELLED)


def refuse_failed(case: Case) -> Decision:
    """Refuse the cancel: the payment has failed for good."""
    return refuse_cancel(case, CancellationRefusal.PAYMENT_FAILED)


def refuse_prepared(case: Case) -> Decision:
    """Refuse the cancel: order preparation has begun."""
    return refuse_cancel(case, CancellationRefusal.PREPARATION_STARTED)


def refuse_disputed(case: Case) -> Decision:
    """Refuse the cancel: the payment is disputed."""
    return refuse_cancel(case, CancellationRefusal.DISPUTED)


def refuse_late(case: Case) -> Decision:
    """Refuse the cancel: the time for it is over."""
    return refuse_cancel(case, CancellationRefusal.TOO_LATE)


def refuse_cancel(case: Case, reason: CancellationRefusal) -> Decision:
    """Keep the cancel as refused, and tell the customer. The order goes on as if nobody had asked."""
    request = replace(_request(case, RequestState.REFUSED), refused=reason.value, ended_at=case.context.at)
    order = case.order.with_request(request)
    refused = draft_refused(order, request.request_id, reason)
    return emit(order, case.context, refused, draft_notice_of_refusal(order, reason))


def note_preparation(case: Case) -> Decision:
    """Note that order preparation has begun: from now on nothing is cancelled."""
    return silent(replace(case.order, preparation_started_at=case.context.at))


def note_preparation_of_cancelled(case: Case) -> Decision:
    """Call an operator: the preparation of an order has begun that is cancelled, or will be."""
    return replace(note_preparation(case), alarm="preparation_of_cancelled")


def paid_at(order: Order) -> datetime:
    """Return when the order was paid. Orders from before this was kept were paid when their money was taken."""
    return order.paid_at or order.current.captured_at or order.created_at


def _known(case: Case) -> Request | None:
    event = case.event_as(OrderCancelRequested)
    return find(case.order.requests, RequestKind.CANCEL, event.request_id)


def _hash(event: OrderCancelRequested) -> bytes:
    return hash_request(RequestKind.CANCEL, event.reason, event.requested_by)


def _request(case: Case, state: RequestState) -> Request:
    event, context = case.event_as(OrderCancelRequested), case.context
    return Request(
        request_id=event.request_id,
        kind=RequestKind.CANCEL,
        arrival=len(case.order.requests) + 1,
        content_hash=_hash(event),
        noted_at=context.at,
        reason=event.reason,
        requested_by=event.requested_by,
        operator=context.operator,
        causation_id=context.causation_id,
        state=state,
        asked_at=min(event.occurred_at, context.at),
    )


def _wake(order: Order, context: Context) -> Order:
    """Have the gateway asked at once about an authorization that waits for the customer or a bank: it is to end."""
    for o in order.operations:
        waits = o.kind is OperationKind.AUTHORIZE and o.state is OperationState.PENDING
        if waits and o.due_at is not None and o.due_at > context.at:
            order = order.with_operation(replace(o, due_at=context.at))
    return order

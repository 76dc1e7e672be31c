"""Refunds that somebody asks for. Each is kept with its order, and taken once nothing else is under way, in order.

Taken means: its amount is refunded by an operation of its own, and its lines go back into stock. The order stays paid.
Never more is given back than is kept; what refunds under way are about to give back counts as given back.
"""

from typing import Final

from domain.approval import needs_approval
from domain.case import Case
from domain.decision import NOTHING, Decision, Draft, emit, refuse, silent
from domain.lines import OrderLine
from domain.operating import open_operation
from domain.operation import Operation, OperationKind
from domain.order import FINAL, Order, Status
from domain.paid_review import lacks_refund, leave_review
from domain.requests import (
    REQUESTS_MAX,
    Request,
    RequestKind,
    RequestState,
    find,
    hash_request,
    next_waiting,
)
from domain.restocking import OWNER, exceeds_sold, open_restock
from domain.rules import Context
from domain.values import replace
from schemas.events import RefundRefusal, RefundRefused, RefundRequested
from schemas.rejection import Reason

REFUND: Final = OperationKind.REFUND

# A request comes


def asked_before(case: Case) -> bool:
    """Whether the order has a refund of this request id."""
    return find(case.order.requests, RequestKind.REFUND, case.event_as(RefundRequested).request_id) is not None


def has_too_many(case: Case) -> bool:
    """Whether the order has so many requests that it takes no more."""
    return len(case.order.requests) >= REQUESTS_MAX


def take_repeated_request(case: Case) -> Decision:
    """Do nothing if the same is asked for again. Refuse the same request id with other content."""
    asked = read_request(case.event_as(RefundRequested), case.order, case.context)
    known = find(case.order.requests, RequestKind.REFUND, asked.request_id)
    if known is None or known.content_hash == asked.content_hash:
        return NOTHING
    return refuse(
        Reason.CONFLICT,
        "the order has a refund of this request_id with other content; nothing was done for this message. Publish "
        "another refund under a request_id of its own.",
    )


def refuse_one_more(_: Case) -> Decision:
    """Refuse a request beyond what an order keeps."""
    return refuse(
        Reason.ILLEGAL_TRANSITION,
        f"the order has {REQUESTS_MAX} requests already, and takes no more: find out who asks so often.",
    )


def note_refund(case: Case) -> Decision:
    """Keep the request with its order, and take it if nothing else is under way."""
    request = read_request(case.event_as(RefundRequested), case.order, case.context)
    return take_waiting(silent(case.order.with_request(request)), case.context)


def read_request(event: RefundRequested, order: Order, context: Context) -> Request:
    """Make a request of an event. Its lines are added up per SKU and sorted."""
    units: dict[str, int] = {}
    for line in event.lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    lines = tuple(OrderLine(sku, quantity) for sku, quantity in sorted(units.items()))
    return Request(
        request_id=event.request_id,
        kind=RequestKind.REFUND,
        arrival=max((r.arrival for r in order.requests), default=0) + 1,
        content_hash=hash_request(RequestKind.REFUND, event.reason, event.requested_by, event.amount_minor, lines),
        noted_at=context.at,
        reason=event.reason,
        requested_by=event.requested_by,
        operator=context.operator,
        causation_id=context.causation_id,
        amount_minor=event.amount_minor,
        lines=lines,
        asked_at=min(event.occurred_at, context.at),
    )


# A request is taken, or refused


def take_waiting(decision: Decision, context: Context) -> Decision:
    """Take the refunds that wait, in the order of their arrival, until an outcome must come first.

    Behind a cancel that is noted they wait for what becomes of it.
    """
    order = decision.order
    if order is None or not order.requests:
        return decision
    while (request := next_waiting(order.requests)) is not None and request.kind is RequestKind.REFUND:
        if (cancel := order.cancel) is not None and cancel.arrival < request.arrival:
            break
        taken = take(order, request, context)
        if taken is None or taken.order is None:
            break
        order = taken.order
        decision = join(decision, taken)
    return decision


def join(first: Decision, second: Decision) -> Decision:
    """Return two decisions about one order as one; the second was made of what the first left."""
    return replace(
        first,
        order=second.order if second.order is not None else first.order,
        events=first.events + second.events,
        alarm=first.alarm or second.alarm,
    )


def take(order: Order, request: Request, context: Context) -> Decision | None:
    """Take a request that waits, refuse it, or have it wait for a second person. None: it waits on."""
    context = replace(context, causation_id=request.causation_id or context.causation_id)
    if order.status not in FINAL:
        return None
    # One that was accepted before goes on in a review, too: the review is about it, or about another refund.
    again = request.taken_at is not None
    if (again or order.status is Status.PAID_AND_CONFIRMED) and order.busy():
        return None
    amount = amount_of(order, request)
    why = _why_no_more(order, amount) if again else _refusal(order, request, amount)
    if why is not None:
        refused = refuse_request(order, request, why, context)
        return leave_review(refused) if again else refused
    if needs_approval(order, request, amount, context.rules):
        return silent(order.with_request(replace(request, state=RequestState.APPROVAL)))
    # Of all that is kept there may be less than when it was taken first.
    taken_at = request.taken_at or context.at
    taken = replace(request, taken_minor=request.returned_minor + amount, taken_at=taken_at)
    if request.lines and not again:
        order = open_restock(order, taken, context)
    return silent(open_refund(order, taken, amount, context))


def open_refund(order: Order, request: Request, amount_minor: int, context: Context) -> Order:
    """Return the order with the request taken, and the next refund of it, under a key of its own; none for nothing."""
    taken = replace(request, state=RequestState.TAKEN, tries=request.tries + (amount_minor > 0))
    order = order.with_request(taken)
    if amount_minor == 0:
        return order
    attempt, name = order.current, request.request_id
    return open_operation(
        order,
        context,
        REFUND,
        attempt,
        OWNER,
        amount_minor,
        taken.tries,
        for_request=name,
        asked_at=request.since,
    )


def refuse_request(order: Order, request: Request, why: RefundRefusal, context: Context) -> Decision:
    """Refuse a request, and emit why."""
    order = order.with_request(replace(request, state=RequestState.REFUSED, refused=str(why), ended_at=context.at))
    fields = {"customer_id": order.customer_id, "request_id": request.request_id, "reason": why}
    return emit(order, context, Draft(RefundRefused, fields))


def end_unserved(decision: Decision, context: Context) -> Decision:
    """Refuse refunds that were taken and not made, once all money of an order is back that is cancelled, or was paid.

    The gateway refused them, and a cancel or somebody else gave their money back with the rest.
    """
    order = decision.order
    why = None if order is None else _UNSERVED.get(order.status)
    if order is None or why is None or any(a.kept_minor > 0 for a in order.attempts):
        return decision
    for request in order.requests:
        if lacks_refund(order, request):
            because = replace(context, causation_id=request.causation_id or context.causation_id)
            refused = refuse_request(decision.order or order, request, why, because)
            decision = join(decision, refused)
    return decision


_UNSERVED: Final = {
    Status.CANCELLED: RefundRefusal.CANCELLED,
    Status.PAID_AND_CONFIRMED: RefundRefusal.EXCEEDS_KEPT,
}


def refuse_hopeless(decision: Decision, context: Context) -> Decision:
    """Refuse refunds that wait for a second person, once nothing is kept that they could give back."""
    order = decision.order
    if order is None or order.status not in {Status.CANCELLED, Status.PAID_AND_CONFIRMED}:
        return decision
    cancelled = order.status is Status.CANCELLED
    if not cancelled and order.current.kept_minor > 0:
        return decision
    why = RefundRefusal.CANCELLED if cancelled else RefundRefusal.EXCEEDS_KEPT
    for request in order.requests:
        if request.kind is RequestKind.REFUND and request.state is RequestState.APPROVAL:
            because = replace(context, causation_id=request.causation_id or context.causation_id)
            decision = join(decision, refuse_request(decision.order or order, request, why, because))
    return decision


def amount_of(order: Order, request: Request, but: Operation | None = None) -> int:
    """Return what is to be refunded for a request now, in minor units. but: a call that is left out of what is left."""
    left = order.left_minor(order.current, but)
    if request.taken_minor is None:
        return left if request.amount_minor is None else request.amount_minor
    owed = request.taken_minor - request.returned_minor
    # Of a cancelled order all that is left goes back, and somebody else may have given back a part of it.
    rest = request.amount_minor is None or order.effective_status is Status.CANCELLED
    return min(owed, left) if rest else owed


def _refusal(order: Order, request: Request, amount_minor: int) -> RefundRefusal | None:
    match order.status:
        case Status.MANUAL_REVIEW:
            return RefundRefusal.IN_REVIEW
        case Status.CANCELLED:
            return RefundRefusal.CANCELLED
        case Status.PAYMENT_FAILED:
            return RefundRefusal.NOT_PAID
        case _ if exceeds_sold(order, request):
            return RefundRefusal.EXCEEDS_SOLD
        case _ if order.total_minor == 0 and amount_minor == 0 and request.lines:
            return None  # only goods come back of an order that cost nothing
        case _:
            return why_no_money(order, amount_minor)


def _why_no_more(order: Order, amount_minor: int) -> RefundRefusal | None:
    """Return why a refund that was taken before is not sent again; None if it is.

    Of a cancelled order all money is to go back. A dispute is no reason to keep it: the gateway says whether it still
    refuses, and until then a person decides.
    """
    why = why_no_money(order, amount_minor)
    owed = order.effective_status is Status.CANCELLED and 0 < amount_minor <= order.left_minor(order.current)
    return None if owed and why is RefundRefusal.DISPUTED else why


def why_no_money(order: Order, amount_minor: int) -> RefundRefusal | None:
    """Return why this amount cannot be refunded; None if it can."""
    if order.disputed:
        return RefundRefusal.DISPUTED
    left = order.left_minor(order.current)
    return None if 0 < amount_minor <= left else RefundRefusal.EXCEEDS_KEPT

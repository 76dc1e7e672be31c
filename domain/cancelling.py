"""The steps that cancel an order: give its money back when nothing is under way, and tell how it ended.

While a cancel is noted, the rows `CANCELLING` come before a reaction's own. Whatever outcome comes, its money is booked
already, and goes back: nothing is reserved or captured any more, and the order is not told as paid.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from domain import paid_review
from domain.cancel_refusals import draft_notice_of_refusal, draft_refused
from domain.cancelled import outcome_fields
from domain.case import Case
from domain.conditions import (
    always,
    first_of_nothing,
    goods_gone,
    is_disputed,
    is_on_its_way,
    of_current_attempt,
    other_currency,
    overdue,
    reviewed_for_it,
    something_came_back,
    still_open,
    with_transaction,
)
from domain.customer_action import cancel_declined
from domain.decision import Decision, Draft, emit, silent
from domain.extending import note_extension, note_lapse, record_hold
from domain.notifying import draft_notice
from domain.operating import next_number, open_operation
from domain.operation import BESIDE_OTHERS, OperationKind, OperationState
from domain.order import Attempt, HoldState, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    NotFound,
    OtherAmount,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
)
from domain.payment import cancel_undecided, leave_review, void_again
from domain.pending import waits_for_others
from domain.requests import NOTED, Request, RequestKind, RequestState
from domain.returning import draft_return
from domain.rows import On, settles_by_case
from domain.rules import Context
from domain.settling import ask_about_currency, wait
from domain.values import replace
from schemas.events import CancellationRefusal, MoneyState, NotificationKind, OrderCancelled

CANCELLED: Final = "Nothing of it will be delivered."
ON_REQUEST: Final = "cancelled on request"
"""The detail of an authorization that a cancel has closed."""


def is_under_way(order: Order) -> bool:
    """Whether the order must wait for an outcome, or for a person, before money goes back.

    A release, an extension and a restock move no money. A pending refund is made: its money is on its way back.
    """
    return order.status is Status.MANUAL_REVIEW or any(
        o.unfinished
        and o.kind not in BESIDE_OTHERS
        and not (o.kind is OperationKind.REFUND and o.state is OperationState.PENDING and not waits_for_others(o))
        for o in order.operations
    )


def carry_out(case: Case) -> Decision:
    """Give back the next of the order's money; when there is none left, the order is cancelled."""
    return _carry_out(case)


def carry_out_behind(case: Case) -> Decision:
    """Emit what went back; then as carry_out."""
    return _carry_out(case, *draft_return(case))


def carry_out_with_goods(case: Case) -> Decision:
    """Keep the hold that the inventory made meanwhile, to be released; then as carry_out."""
    order = record_hold(case.order, case.call.attempt, case.outcome_as(Reserved).expires_at)
    return _carry_out(replace(case, order=order))


def carry_out_sold(case: Case) -> Decision:
    """Note that the goods were sold meanwhile, so that they are put back into stock; then as carry_out."""
    order = case.order
    hold = order.hold_of(case.call.attempt)
    if hold is not None:
        order = order.with_hold(replace(hold, state=HoldState.SOLD))
    return _carry_out(replace(case, order=order))


def carry_out_uncaptured(case: Case) -> Decision:
    """Close a capture that had not begun when its hold ran out; then as carry_out."""
    ended = replace(case.call, state=OperationState.NOT_EXECUTED, settled_at=case.context.at, due_at=None)
    return _carry_out(replace(case, order=case.order.with_operation(ended)))


def carry_out_other_amount(case: Case) -> Decision:
    """Tell an operator that the gateway moved another amount than we asked for; then as carry_out."""
    return replace(_carry_out(case), alarm="amount_differs")


def cancel_pending(case: Case) -> Decision:
    """Close an authorization that waits for the customer or a bank, and open a void of it, of no amount.

    The gateway ends it if it can. If not, the void is pending in its place, and money that comes goes back.
    """
    order, at = case.order, case.context.at
    waiting = next(o for o in order.operations if o.operation_id.int == case.call.operation_id.int)
    closed = replace(waiting, state=OperationState.NOT_EXECUTED, detail=ON_REQUEST, settled_at=at, due_at=None)
    return cancel_undecided(replace(case, order=order.with_operation(closed)))


def end_without_bank(case: Case) -> Decision:
    """Cancel the order though its bank has not answered for long. Money that still comes goes back."""
    return _end(case.order, case.context)


def refuse_disputed_meanwhile(case: Case) -> Decision:
    """Refuse the cancel after all: the payment was disputed meanwhile, and the gateway refuses to refund it.

    So are those that waited behind it. The customer is told once.
    """
    order, reason = case.order, CancellationRefusal.DISPUTED
    cancel = order.cancel
    assert cancel is not None
    order = order.with_request(replace(cancel, tries=case.call.try_number))
    noted = [r for r in order.requests if r.kind is RequestKind.CANCEL and r.state in NOTED]
    order, refusals = _refuse_each(order, noted, reason, case.context.at)
    notice = draft_notice_of_refusal(order, reason)
    return paid_review.leave_review(emit(order, _because_of(cancel, case.context), *refusals, notice))


def begin_cancelled(order: Order, request: Request, context: Context) -> Decision:
    """Begin an order whose cancel came before it: it is cancelled at once, and nothing is called."""
    return _end(order.with_request(request), context)


def _carry_out(case: Case, *before: Draft) -> Decision:
    order, cancel = case.order, case.order.cancel
    assert cancel is not None
    case = replace(case, context=_because_of(cancel, case.context))
    owed = next((attempt for attempt in order.attempts if _owed(order, attempt) > 0), None)
    if owed is None:
        return _end(order, case.context, *before)
    kind = OperationKind.REFUND if owed.kept_minor > 0 else OperationKind.VOID
    amount = _owed(order, owed)
    taken = replace(cancel, state=RequestState.TAKEN, taken_minor=amount, taken_at=cancel.taken_at or case.context.at)
    number = next_number(order, owed, kind)
    order = open_operation(
        order.with_request(taken), case.context, kind, owed, case.reaction, amount, number, asked_at=cancel.since
    )
    return emit(order, case.context, *before) if before else silent(order)


def _because_of(cancel: Request, context: Context) -> Context:
    """Return the context of what the cancel has caused. A command has no event that others could find."""
    return replace(context, causation_id=cancel.causation_id or context.causation_id)


def _owed(order: Order, attempt: Attempt) -> int:
    """Return what this attempt keeps or holds, in minor units, without what is on its way back."""
    asked = sum(
        o.amount_minor
        for o in order.operations
        if o.unfinished and o.kind is OperationKind.REFUND and o.attempt == attempt.number
    )
    return max(attempt.kept_minor - asked, 0) if attempt.kept_minor > 0 else attempt.held_minor


def _end(order: Order, context: Context, *before: Draft) -> Decision:
    """Move to cancelled, and tell the customer. Erase the token. Refuse other cancels that wait."""
    cancel = order.cancel
    assert cancel is not None
    context = _because_of(cancel, context)
    done = replace(cancel, state=RequestState.DONE, taken_at=cancel.taken_at or context.at, ended_at=context.at)
    order = replace(leave_review(order, Status.CANCELLED, context.at), retryable=False, retry_until=None).with_request(
        done
    )
    order = order.with_attempt(replace(order.current, token=None))
    others = [r for r in order.requests if r.kind is RequestKind.CANCEL and not r.ended]
    order, refusals = _refuse_each(order, others, CancellationRefusal.ALREADY_CANCELLED, context.at)
    fields = outcome_fields(order, done)
    notice = draft_notice(order, order.current, NotificationKind.CANCELLED, CANCELLED, MoneyState(str(fields["money"])))
    # The customer hears of what goes back, not of what the order costs.
    told = Draft(notice.event, {**notice.fields, "amount_minor": done.taken_minor or order.total_minor})
    return emit(order, context, *before, Draft(OrderCancelled, fields), told, *refusals)


def _refuse_each(
    order: Order, cancels: Iterable[Request], reason: CancellationRefusal, at: datetime
) -> tuple[Order, list[Draft]]:
    """Return the order with these cancels refused, and what is emitted of each."""
    refusals: list[Draft] = []
    for cancel in cancels:
        order = order.with_request(replace(cancel, state=RequestState.REFUSED, refused=reason.value, ended_at=at))
        refusals.append(draft_refused(order, cancel.request_id, reason))
    return order, refusals


_K = OperationKind
CANCELLING: Final = (
    On(_K.AUTHORIZE, (CustomerMustAct, Pending), with_transaction, cancel_pending),
    On(_K.AUTHORIZE, (Declined,), still_open, cancel_declined),  # the customer may still pay
    On(_K.AUTHORIZE, (OtherAmount,), other_currency, ask_about_currency),
    On((_K.AUTHORIZE, _K.CAPTURE), (OtherAmount,), always, carry_out_other_amount),
    On((_K.AUTHORIZE, _K.CAPTURE), (Approved, AlreadyCaptured, Declined, Lapsed), always, carry_out),
    On((_K.AUTHORIZE, _K.CAPTURE), (ReturnedElsewhere,), always, carry_out_behind),
    On(_K.VOID, (AlreadyCaptured,), always, carry_out),
    On(_K.VOID, (Approved, Lapsed), always, carry_out_behind),
    On(_K.VOID, (Pending,), overdue, end_without_bank),
    On(_K.VOID, (Declined,), first_of_nothing, void_again),
    On(_K.REFUND, (Pending,), is_on_its_way, carry_out),
    On(_K.REFUND, (Pending,), always, wait),
    On(_K.REFUND, (Approved,), always, carry_out_behind),
    On(_K.REFUND, (Declined,), is_disputed, refuse_disputed_meanwhile, Status.PAID_AND_CONFIRMED),
    On(_K.REFUND, (ReturnedElsewhere,), something_came_back, carry_out_behind),
    On(_K.RESERVE, (Reserved,), always, carry_out_with_goods),
    On(_K.RESERVE, (Short, Lapsed), always, carry_out),
    On(_K.EXTEND, (Reserved, Lapsed), reviewed_for_it, carry_out),
    On(_K.CONFIRM, (Approved,), of_current_attempt, carry_out_sold),
    On(_K.CONFIRM, (Short, Declined, Lapsed), always, carry_out),
    On(_K.CAPTURE, (NotFound,), goods_gone, carry_out_uncaptured),
    # No capture follows an extension any more. `carry_on` gives the money back when nothing else is under way.
    On(_K.EXTEND, (Reserved,), always, note_extension),
    On(_K.EXTEND, (Lapsed,), always, note_lapse),
)
"""The first rows of outcomes for every reaction while a cancel is noted. What fits none of them goes the usual way."""
CANCELLING_BY_CASE: Final = settles_by_case(CANCELLING)

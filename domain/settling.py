"""The steps and rows that every reaction shares: refuse wrong events, wait, undo, ask an operator."""

from typing import Final

from domain.cancelled import end_cancelled_review
from domain.case import Case
from domain.conditions import (
    ahead_of_us,
    always,
    asks_too_little,
    forgotten,
    nothing_came_back,
    others_gave_nothing,
    rest_is_kept,
    was_pending,
)
from domain.customer_action import cancel_unconfirmed, end_overdue
from domain.decision import NOTHING, Decision, Draft, emit, refuse, silent
from domain.extending import (
    extend_anew,
    is_needed,
    leave,
    note_extension,
    note_lapse,
    record_hold,
    reserve_at_last,
)
from domain.ids import ReservationId
from domain.notifying import draft_notice
from domain.operating import give_up_reason, open_operation
from domain.operation import Operation, OperationKind
from domain.order import FINAL, HoldState, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    AlreadySold,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    Pending,
    Reserved,
    ReturnedElsewhere,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.paid_review import end_review
from domain.payment import cancel_undecided, give_back, give_back_rest, refund_anew, void_again, void_anew
from domain.pending import waits_for_customer
from domain.restocking import ask_about_restock, end_restock, restock_sold
from domain.returning import draft_return, money_state
from domain.reviewing import review
from domain.rows import ANY, EVERY, NO_ORDER, On, When
from domain.rules import Context
from domain.values import replace
from schemas.events import (
    MoneyState,
    NotificationKind,
    ReservationReleased,
)
from schemas.rejection import Reason

DELAYED = "Your payment takes longer than usual. Please do not pay again; we will tell you how it ends."
REFUNDED = "Your money is on its way back to you."


def wait(case: Case) -> Decision:
    """Leave the operation to the sweep. Notify the customer once if it takes long; ask an operator if it never ends."""
    order, context = case.order, case.context
    waiting = next(o for o in order.operations if o.operation_id == case.call.operation_id)
    beside = waiting.kind is OperationKind.EXTEND and order.busy()  # the capture is asked about: its answer decides
    reason = None if beside else give_up_reason(waiting, context, case.attempt.action_expires_at)
    if reason is not None and _is_idle(order, waiting):
        return silent(reserve_at_last(leave(order, waiting, context.at), context))
    if reason is not None:
        order = order.with_operation(replace(waiting, due_at=None))
        return review(order, waiting, reason, context)
    decision = notify_delay(order, context)
    return silent(order) if decision.order is None else decision


def _is_idle(order: Order, operation: Operation) -> bool:
    """Whether nothing depends on a call any more: a hold that has run out here has run out there, too."""
    if operation.kind is OperationKind.EXTEND:
        return not is_needed(order, operation)
    hold = order.hold_of(operation.attempt)
    return operation.kind is OperationKind.RELEASE and (hold is None or hold.state is not HoldState.HELD)


def end_void(case: Case) -> Decision:
    """Emit that the money is free again. End a review that was about it. If nothing was held, tell nothing."""
    returned = draft_return(case)
    if returned:
        return emit(end_review(case.order), case.context, *returned)
    if case.order.status is Status.MANUAL_REVIEW and case.order.reviewed is Status.PAYMENT_FAILED:
        return end_overdue(case)
    if case.order.status is Status.MANUAL_REVIEW and case.order.reviewed is Status.CANCELLED:
        return end_cancelled_review(case)
    return silent(case.order)


def end_refund(case: Case) -> Decision:
    """Emit that the money is on its way back, and notify the customer. End a review that was about it."""
    returned = draft_return(case)
    if not returned:
        return silent(end_review(case.order))  # it was booked and told before
    notice = draft_notice(case.order, case.attempt, NotificationKind.REFUNDED, REFUNDED, MoneyState.RETURNED)
    # The customer hears of what goes back, not of what the order costs.
    amounts = {name: draft.fields[name] for draft in returned for name in ("amount_minor",)}
    told = Draft(notice.event, {**notice.fields, **amounts})
    return emit(end_review(case.order), case.context, *returned, told)


def end_release(case: Case) -> Decision:
    """Emit that the goods of this attempt are free again. End a review that was about it."""
    order = case.order
    hold = order.hold_of(case.call.attempt)
    if hold is None or hold.state is not HoldState.HELD:
        return silent(reserve_at_last(order, case.context))
    order = order.with_hold(replace(hold, state=HoldState.RELEASED, pinned=False))
    if order.review_reason and order.review_reason.startswith(OperationKind.RELEASE):
        order = end_review(order)
    order = reserve_at_last(order, case.context)
    return emit(order, case.context, draft_release(case.call.attempt, hold.reservation_id))


def release_unwanted(case: Case) -> Decision:
    """Release goods that were reserved though nothing wants them any more, and give back money as `undo` does."""
    order, call = case.order, case.call
    if order.under_way(OperationKind.RELEASE, call.attempt) is None and order.hold_of(call.attempt) is None:
        order = record_hold(order, call.attempt, case.outcome_as(Reserved).expires_at)
        order = open_operation(order, case.context, OperationKind.RELEASE, case.attempt, case.reaction, 0)
    return undo(replace(case, order=order))


def ask_operator(case: Case) -> Decision:
    """Ask an operator: the gateway refuses to give the money back."""
    kind = case.call.kind
    reason = "refund_failed" if kind is OperationKind.REFUND else f"{kind}_refused"
    return review(case.order, case.call, reason, case.context)


def ask_for_missing(case: Case) -> Decision:
    """Ask an operator: the gateway does not have the transaction, though it has others of ours."""
    order, call = case.order, case.call
    waiting = replace(next(o for o in order.operations if o.operation_id == call.operation_id), due_at=None)
    return review(order.with_operation(waiting), waiting, "transaction_missing", case.context)


def ask_about_part(case: Case) -> Decision:
    """Ask an operator: somebody captured a part of the money at the gateway."""
    return review(case.order, case.call, "captured_in_part", case.context)


def ask_about_currency(case: Case) -> Decision:
    """Ask an operator: the gateway approved another currency than we asked for."""
    return review(case.order, case.call, "currency_differs", case.context)


def undo(case: Case) -> Decision:
    """Give back money that the order does not need: of an older attempt, of a failed order, or found in a review."""
    order, attempt = case.order, case.attempt
    # A review of a paid order is about one refund of it: the rest of its money stays.
    was_paid = order.status is Status.MANUAL_REVIEW and order.reviewed is Status.PAID_AND_CONFIRMED
    unwanted = attempt.number != order.attempt or (order.status in _WANTS_NOTHING and not was_paid)
    if unwanted and (order.left_minor(attempt) > 0 or attempt.held_minor > 0) and not order.busy():
        return give_back(case)
    return silent(order)


_WANTS_NOTHING: Final = frozenset({Status.PAYMENT_FAILED, Status.CANCELLED, Status.MANUAL_REVIEW})
"""Money that is found in these statuses goes back."""


def notify_delay(order: Order, context: Context) -> Decision:
    """Notify the customer once, not to pay again, if a payment takes long."""
    if order.delay_notified or order.status in FINAL:
        return NOTHING
    quiet = _QUIET if order.cancel is None else _QUIET | {OperationKind.EXTEND}  # then no payment waits for it
    for operation in order.operations:
        attempt = order.attempts[operation.attempt - 1]
        since = operation.opened_at
        if waits_for_customer(operation):
            # The customer knows what it waits for. Afterwards they are told if it does not end.
            since = max(since, attempt.action_expires_at or since)
        age_s = (context.at - since).total_seconds()
        if operation.unfinished and operation.kind not in quiet and age_s >= context.rules.delayed_notice_s:
            context = replace(context, causation_id=operation.causation_id)
            notice = draft_notice(
                order, attempt, NotificationKind.PAYMENT_DELAYED, DELAYED, money_state(order, attempt)
            )
            return emit(replace(order, delay_notified=True), context, notice)
    return NOTHING


_QUIET = frozenset({OperationKind.REFUND, OperationKind.RELEASE, OperationKind.RESTOCK})
"""These take no money: no reason to tell the customer not to pay again."""


def draft_release(attempt: int, reservation_id: ReservationId) -> Draft:
    """Draft ReservationReleased."""
    return Draft(ReservationReleased, {"attempt": attempt, "reservation_id": reservation_id})


def do_nothing(_: Case) -> Decision:
    """Do nothing: the event was planned before."""
    return NOTHING


def refuse_unknown(case: Case) -> Decision:
    """Refuse an event on a topic of ours about an unknown order."""
    assert case.event is not None
    return refuse(Reason.UNKNOWN_ORDER, f"there is no order {case.event.subject}; who published this event?")


def refuse_ahead(case: Case) -> Decision:
    """Refuse an event on a topic of ours that no decision of ours can have emitted."""
    assert case.event is not None
    return refuse(
        Reason.ILLEGAL_TRANSITION,
        f"{case.event.TYPE} has a version or attempt that order {case.event.subject} has not reached.",
    )


OURS: Final = (When(NO_ORDER, always, refuse_unknown), When(ANY, ahead_of_us, refuse_ahead))
"""The first rows of plans for every topic of ours."""

_TAKES_MONEY: Final = (OperationKind.AUTHORIZE, OperationKind.CAPTURE)

FIRST: Final = (
    On(OperationKind.VOID, (NotFound,), forgotten, void_anew),
    On(OperationKind.REFUND, (NotFound,), others_gave_nothing, refund_anew),
    On(OperationKind.EXTEND, (Unknown, NotFound, NotExecuted), asks_too_little, extend_anew),
    On(EVERY, (Unknown, NotFound), always, wait),
    On(EVERY, (NotExecuted,), always, wait),
    On(EVERY, (TransactionMissing,), always, ask_for_missing),
    On(OperationKind.REFUND, (ReturnedElsewhere,), nothing_came_back, ask_operator),
    On(OperationKind.REFUND, (Approved, ReturnedElsewhere), rest_is_kept, give_back_rest),
    On(_TAKES_MONEY, (ReturnedElsewhere,), rest_is_kept, give_back_rest),
)
"""The first rows of outcomes for every reaction: what is unknown, or was not executed, waits; what did not come back
whole goes on.
"""

LAST: Final = (
    On(EVERY, (Pending,), always, wait),
    On(OperationKind.VOID, (AlreadyCaptured,), always, give_back),
    On(OperationKind.AUTHORIZE, (Undecided,), always, cancel_undecided),
    On(OperationKind.AUTHORIZE, (CustomerMustAct,), always, cancel_unconfirmed),
    On(OperationKind.VOID, (Declined,), was_pending, void_again),
    On(OperationKind.VOID, (Declined,), always, ask_operator),
    On(OperationKind.REFUND, (Declined, Lapsed), always, ask_operator),
    On(OperationKind.VOID, (Approved, Lapsed), always, end_void),
    On(OperationKind.REFUND, (Approved, ReturnedElsewhere), always, end_refund),
    On(_TAKES_MONEY, (ReturnedElsewhere,), always, end_refund),
    On(OperationKind.RELEASE, (Approved,), always, end_release),
    On(OperationKind.RELEASE, (AlreadySold,), always, restock_sold),
    On(OperationKind.RESERVE, (Reserved,), always, release_unwanted),
    On(OperationKind.EXTEND, (Reserved,), always, note_extension),
    On(OperationKind.EXTEND, (Lapsed,), always, note_lapse),
    On(OperationKind.RESTOCK, (Approved,), always, end_restock),
    On(OperationKind.RESTOCK, (Declined,), always, ask_about_restock),
)
"""The last rows of outcomes for every reaction. An outcome that fits none is undone."""

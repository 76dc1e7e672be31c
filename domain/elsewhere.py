"""The steps about what somebody does at the gateway without us: in its dashboard, or with another program.

A refund of theirs is a row among our operations, with a try number below 0: it has no idempotency key of ours. So it is
booked once, by its id at the gateway, and whoever reads the operations of an order sees it.
"""

from typing import Final

from domain.carrying_on import CANCELS, carry_on, end_empty_review
from domain.case import Case
from domain.closing import ELSEWHERE, fail_later
from domain.decision import Decision, Draft, emit, silent
from domain.gateway_sums import FOREIGN, failed_unheard, is_behind, stands_for, unbooked_minor
from domain.hearing import AT_REST, ForeignRefund, Hearing, under_way
from domain.ids import OperationId
from domain.news import RefundFailure, TransactionNews
from domain.next_tries import owed, refused_ones
from domain.operating import open_operation
from domain.operation import OPERATIONS, Operation, OperationKind, OperationState
from domain.order import Attempt, Order, Status
from domain.rules import Context
from domain.told import count_again, take_back_refund
from domain.values import replace
from schemas.events import PaymentRefunded, PaymentRefundFailed, PaymentVoided

GIVES_BACK: Final = "return_payment"
"""Whose rows settle a void or refund that is opened here."""

# A refund of somebody else


def is_pending(hearing: Hearing) -> bool:
    """Whether the refund is not decided yet. The gateway tells when it is, and its list shows it."""
    return hearing.fact_as(ForeignRefund).refund.state == "pending"


def was_said_before(hearing: Hearing) -> bool:
    """Whether the books have more of this transaction's refunds than the gateway had when it was asked."""
    news = hearing.fact_as(ForeignRefund).news
    return is_behind(hearing.order, hearing.attempt_there, news, asked_at=hearing.asked_at)


def is_of_unheard(hearing: Hearing) -> bool:
    """Whether it is of money whose capture the books do not have yet: the answer of our call may be older than it."""
    news = hearing.fact_as(ForeignRefund).news
    return under_way(hearing) and news.captured_minor > hearing.attempt_there.captured_minor


def failed_unbooked(hearing: Hearing) -> bool:
    """Whether the refund has failed and our books do not count it."""
    counted = _booked(hearing) is not None or _ruled(hearing) is not None or _unbooked(hearing) < 0
    return has_failed(hearing) and not counted


def failed_as_ruled(hearing: Hearing) -> bool:
    """Whether the refund has failed that a person has named in place of ours."""
    return has_failed(hearing) and _ruled(hearing) is not None


def take_back_ruled(hearing: Hearing) -> Decision:
    """Book that it failed, as if it were ours: a person decides again."""
    ours, refund = _ruled(hearing), hearing.fact_as(ForeignRefund).refund
    assert ours is not None
    failure = RefundFailure(
        hearing.order.order_id, str(ours.operation_id), refund.refund_id, ours.amount_minor, refund.reason
    )
    return take_back_refund(hearing.order, replace(failure, news=hearing.fact_as(ForeignRefund).news), hearing.context)


def has_failed(hearing: Hearing) -> bool:
    """Whether the refund has failed."""
    return hearing.fact_as(ForeignRefund).refund.state == "failed"


def is_booked(hearing: Hearing) -> bool:
    """Whether the books have the refund, or all that came back of the transaction."""
    fact = hearing.fact_as(ForeignRefund)
    if fact.refund.state == "failed":
        return False
    known = any(stands_for(o, fact.refund.refund_id) for o in hearing.order.operations)
    return known or _unbooked(hearing) == 0


def may_be_owed(hearing: Hearing) -> bool:
    """Whether something else is under way, or a person is asked about money that this refund may have given back.

    A review for a refund that was refused may never end otherwise: what is back would be asked for again and again. So
    it is booked there, unless it has the amount of what is owed: the person may name it as that money. Nor is it booked
    there if it has the amount of a refund of ours that has failed since, which is heard of after the review: it may
    stand for that one.
    """
    order, refund = hearing.order, hearing.fact_as(ForeignRefund).refund
    reviewed = order.review_reason == "refund_failed" and order.effective_status in AT_REST
    if refund.state != "succeeded" or not reviewed:
        return under_way(hearing)
    given_up = any(o.unfinished and o.due_at is None for o in order.operations)
    to_be_heard = {o.amount_minor for o in failed_unheard(order, hearing.fact_as(ForeignRefund).news)}
    return order.busy() or given_up or refund.amount_minor in _owed_minor(order) | to_be_heard


def _owed_minor(order: Order) -> set[int]:
    """Return the amounts that a person is asked about: of each call that was refused, else of all that is left."""
    asked = {owed(order, refused) for refused in refused_ones(order, order.operations)}
    return asked or {order.left_minor(attempt) for attempt in order.attempts}


def not_in_agreement(hearing: Hearing) -> bool:
    """Whether the refund cannot be booked.

    It is in another currency, the books have more back than the gateway, or it went back past the gateway as well.
    """
    fact, unbooked = hearing.fact_as(ForeignRefund), _unbooked(hearing)
    return fact.refund.state == "succeeded" and (
        fact.refund.currency != hearing.order.currency
        or not 0 <= unbooked <= hearing.order.left_minor(hearing.attempt_there)
    )


def book_foreign_refund(hearing: Hearing) -> Decision:
    """Book a refund that somebody else made, once, and emit it. The order keeps its status, also under review.

    One that a copy of an ended call of ours made is booked in the same way, for nobody waits for it; that rings. If
    nothing is kept of it now, a review for refunds that the gateway refused has nothing to ask any more, and ends.
    """
    order, attempt, context = hearing.order, hearing.attempt_there, hearing.context
    refund = hearing.fact_as(ForeignRefund).refund
    amount = min(refund.amount_minor, _unbooked(hearing))
    name = f"payments:{order.order_id}:{attempt.number}:refund of somebody else:{refund.refund_id}"
    booked = Operation(
        operation_id=OperationId(OPERATIONS.derive(name)),
        order_id=order.order_id,
        attempt=attempt.number,
        kind=OperationKind.REFUND,
        try_number=min([0, *(o.try_number for o in order.operations if o.attempt == attempt.number)]) - 1,
        reaction=FOREIGN,
        causation_id=None,
        amount_minor=amount,
        currency=order.currency,
        opened_at=context.at,
        due_at=None,
        transaction_id=attempt.transaction_id,
        reference=refund.refund_id,
        state=OperationState.APPROVED,
        settled_at=context.at,
        detail=ELSEWHERE,
    )
    attempt = replace(attempt, refunded_minor=attempt.refunded_minor + amount, refund_id=refund.refund_id)
    fields = {
        "attempt": attempt.number,
        "transaction_id": attempt.transaction_id,
        "refund_id": refund.refund_id,
        "amount_minor": amount,
        "currency": order.currency,
        "request_id": None,
    }
    told = emit(order.with_attempt(attempt).with_operation(booked), context, Draft(PaymentRefunded, fields))
    if refund.operation_id is not None:
        told = replace(told, alarm="refund_made_late")
    return carry_on(Case(order, context, CANCELS), told) if order.requests else end_empty_review(told, context)


def take_back_foreign_refund(hearing: Hearing) -> Decision:
    """Book that a refund of somebody else failed after all, and tell an operator. A failed order's money goes back.

    It has no row if a call of ours found the money given back: then only the sums show that it was counted.
    """
    order, attempt, context = hearing.order, hearing.attempt_there, hearing.context
    refund, booked = hearing.fact_as(ForeignRefund).refund, _booked(hearing)
    counted = min(refund.amount_minor, -_unbooked(hearing)) if booked is None else booked.amount_minor
    amount = min(counted, attempt.refunded_minor)
    attempt = replace(attempt, refunded_minor=attempt.refunded_minor - amount)
    fields = {
        "attempt": attempt.number,
        "refund_id": refund.refund_id,
        "request_id": None,
        "amount_minor": amount,
        "currency": order.currency,
        "reason": refund.reason,
    }
    order = order.with_attempt(attempt)
    if (known := booked or _found_by(hearing)) is not None:
        order = order.with_operation(fail_later(known, refund.reason, context.at))
    again: tuple[Draft, ...] = ()
    if booked is not None:  # else the sums are those of the gateway by now
        order, again = count_again(order, attempt.number, amount, hearing.fact_as(ForeignRefund).news)
    attempt = order.attempts[attempt.number - 1]
    if _is_unwanted(order, attempt) and order.left_minor(attempt) > 0:
        order = _give_back(order, attempt, context)
    return replace(emit(order, context, Draft(PaymentRefundFailed, fields), *again), alarm="foreign_refund_failed")


# Money that somebody captured, approved or cancelled


def is_in_books(hearing: Hearing) -> bool:
    """Whether the books know of all money of the transaction, or nothing of it is left at the gateway."""
    news, attempt = hearing.fact_as(TransactionNews), hearing.attempt
    if attempt is None:
        return not news.held_minor and news.captured_minor <= news.returned_minor
    cancelled = not news.cancelled or attempt.held_minor == 0
    captured = news.captured_minor <= attempt.captured_minor or news.captured_minor == news.returned_minor
    return cancelled and captured and (not news.held_minor or attempt.held_minor > 0)


def is_unexplained(hearing: Hearing) -> bool:
    """Whether this cannot be: money of an authorization that was given up, or more than was paid for an order."""
    news, attempt = hearing.fact_as(TransactionNews), hearing.attempt_there
    return (
        news.currency != hearing.order.currency
        or (attempt.voided and not news.cancelled)
        or attempt.captured_minor > 0
        or (not news.cancelled and not _is_unwanted(hearing.order, attempt))
    )


def was_cancelled(hearing: Hearing) -> bool:
    """Whether somebody cancelled the authorization."""
    return hearing.fact_as(TransactionNews).cancelled


def book_cancelled(hearing: Hearing) -> Decision:
    """Book that somebody cancelled an authorization of an order at rest: nothing is held any more."""
    order, attempt = hearing.order, hearing.attempt_there
    fields = {
        "attempt": attempt.number,
        "transaction_id": attempt.transaction_id,
        "amount_minor": attempt.held_minor,
        "currency": order.currency,
    }
    order = order.with_attempt(replace(attempt, voided=True))
    return emit(order, hearing.context, Draft(PaymentVoided, fields))


def give_back_unwanted(hearing: Hearing) -> Decision:
    """Give back money that somebody approved or captured for a failed order or an older attempt; tell an operator."""
    news, attempt, context = hearing.fact_as(TransactionNews), hearing.attempt_there, hearing.context
    amount = news.captured_minor or news.held_minor
    attempt = replace(
        attempt,
        transaction_id=news.transaction_id,
        authorized_minor=max(attempt.authorized_minor, amount),
        captured_minor=news.captured_minor,
        captured_at=context.at if news.captured_minor else None,
    )
    order = _give_back(hearing.order.with_attempt(attempt), attempt, context)
    return replace(silent(order), alarm="money_unwanted")


def _is_unwanted(order: Order, attempt: Attempt) -> bool:
    return attempt.number != order.attempt or order.status in {Status.PAYMENT_FAILED, Status.CANCELLED}


def _give_back(order: Order, attempt: Attempt, context: Context) -> Order:
    """Open a refund of what the attempt keeps, or a void of what it holds, due at once: the sweep makes the call."""
    left = order.left_minor(attempt)
    kind, amount = (OperationKind.REFUND, left) if left > 0 else (OperationKind.VOID, attempt.held_minor)
    like = [
        o.try_number for o in order.operations if (o.attempt, o.kind, o.for_request) == (attempt.number, kind, None)
    ]
    at_once = replace(context, rules=replace(context.rules, lease_s=0))
    return open_operation(order, at_once, kind, attempt, GIVES_BACK, amount, max([0, *like]) + 1)


def _booked(hearing: Hearing) -> Operation | None:
    """Return the row of the refund, if it counts as given back."""
    refund_id = hearing.fact_as(ForeignRefund).refund.refund_id
    for operation in hearing.order.operations:
        if operation.reference == refund_id and operation.reaction == FOREIGN:
            return operation if operation.state is OperationState.APPROVED else None
    return None


def _found_by(hearing: Hearing) -> Operation | None:
    """Return the call of ours that found money given back."""
    for operation in hearing.order.operations:
        found = operation.attempt == hearing.attempt_there.number and operation.reaction != FOREIGN
        if found and (operation.detail or "").startswith(ELSEWHERE):
            return operation
    return None


def _ruled(hearing: Hearing) -> Operation | None:
    """Return the refund of ours that a person has ended by naming this one."""
    refund_id = hearing.fact_as(ForeignRefund).refund.refund_id
    for operation in hearing.order.operations:
        ours = operation.kind is OperationKind.REFUND and operation.reaction != FOREIGN
        if ours and operation.reference == refund_id and operation.state is OperationState.APPROVED:
            return operation
    return None


def _unbooked(hearing: Hearing) -> int:
    """Return how much is back at the gateway, of what was captured, and not in our books."""
    return unbooked_minor(hearing.order, hearing.attempt_there, hearing.fact_as(ForeignRefund).news)

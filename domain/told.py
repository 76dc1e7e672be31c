"""What the gateway says of a refund of ours that was settled before, and what it makes of an order."""

from datetime import datetime

from domain.closing import fail_later
from domain.decision import NOTHING, Decision, Draft, emit
from domain.gateway_sums import FOREIGN, found_by_call, is_behind, uncounted_minor
from domain.hearing import AT_REST, Hearing
from domain.news import RefundFailure, TransactionNews
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order
from domain.refunding import end_unserved
from domain.requests import RequestKind, RequestState, find
from domain.reviewing import review
from domain.rules import Context
from domain.values import replace
from schemas.events import PaymentRefunded, PaymentRefundFailed


def refund_must_wait(hearing: Hearing) -> bool:
    """Whether the failure is new, and something else is under way for the order."""
    return must_wait(hearing.order, hearing.fact_as(RefundFailure))


def waits_for_sums(hearing: Hearing) -> bool:
    """Whether the failure is new, and only the whole transaction says what is back without that refund.

    A call of ours has found refunds of somebody else, and booked all that was back as one sum.
    """
    return transaction_to_ask(hearing.order, hearing.fact_as(RefundFailure), hearing.asked_at) is not None


def transaction_to_ask(order: Order, failure: RefundFailure, asked_at: datetime | None = None) -> str | None:
    """Return the transaction that the gateway must be asked about before the failure can be booked; None: none.

    One that is booked as if somebody else had made it is heard of with its transaction, and fails as theirs do.
    asked_at: when the gateway said what the failure has of its transaction.
    """
    refund = _refund_of(order, failure)
    if refund is None:
        return None
    if refund.reaction == FOREIGN:
        return refund.transaction_id
    if found_by_call(order, refund.attempt) is None:
        return None
    attempt, news = order.attempts[refund.attempt - 1], failure.news
    if news is None or any(r.refund_id == failure.refund_id and r.state != "failed" for r in news.refunds):
        return refund.transaction_id  # that answer is from before the failure
    if not is_behind(order, attempt, news, asked_at=asked_at):
        return None
    return refund.transaction_id


def book_failure(hearing: Hearing) -> Decision:
    """Book that a refund of ours failed after it had succeeded, and ask an operator."""
    return take_back_refund(hearing.order, hearing.fact_as(RefundFailure), hearing.context)


def must_wait(order: Order, failure: RefundFailure) -> bool:
    """Whether it is new, and something else is under way for the order, whose end comes first.

    There is one review at a time, and another attempt's outcome must not end it. The gateway lists the failure for
    weeks, so it is looked at again.
    """
    return _refund_of(order, failure) is not None and (order.status not in AT_REST or order.busy())


def take_back_refund(order: Order, failure: RefundFailure, context: Context) -> Decision:
    """Book that a refund failed after it had succeeded, and ask an operator. Said again, it has no effect.

    order: with that refund among its operations, though it is finished.
    """
    refund = _refund_of(order, failure)
    if refund is None or must_wait(order, failure):
        return NOTHING
    attempt = order.attempts[refund.attempt - 1]
    returned = attempt.refunded_minor - min(failure.amount_minor, attempt.refunded_minor)
    failed = fail_later(refund, failure.reason, context.at)
    order = order.with_attempt(replace(attempt, refunded_minor=returned)).with_operation(failed)
    order, again = count_again(order, refund.attempt, failure.amount_minor, failure.news)
    fields = {
        "attempt": attempt.number,
        "refund_id": failure.refund_id,
        "request_id": refund.for_request,
        "amount_minor": failure.amount_minor,
        "currency": order.currency,
        "reason": failure.reason,
    }
    order = _take_up(order, failed, failure.amount_minor)
    context = replace(context, causation_id=refund.causation_id)
    told = Draft(PaymentRefundFailed, fields), *again
    if again and not any(attempt.kept_minor > 0 for attempt in order.attempts):
        return end_unserved(emit(order, context, *told), context)  # others have given all of it back
    return review(order, failed, "refund_failed", context, *told)


def count_again(
    order: Order, number: int, failed_minor: int, news: TransactionNews | None
) -> tuple[Order, tuple[Draft, ...]]:
    """Return the order, and what is emitted, with what a call had found and the failed refund was mistaken for.

    order: with the failure booked. failed_minor: what the books had of the refund that failed.
    """
    attempt, found = order.attempts[number - 1], found_by_call(order, number)
    if news is None or found is None:
        return order, ()
    missing = min(uncounted_minor(order, attempt, news), failed_minor, order.left_minor(attempt))
    if missing <= 0:
        return order, ()
    fields = {
        "attempt": number,
        "transaction_id": attempt.transaction_id,
        "refund_id": found.reference,
        "amount_minor": missing,
        "currency": order.currency,
        "request_id": None,
    }
    order = order.with_attempt(replace(attempt, refunded_minor=attempt.refunded_minor + missing))
    return order, (Draft(PaymentRefunded, fields),)


def _take_up(order: Order, refund: Operation, amount_minor: int) -> Order:
    """Return the order with the request that this refund served under way again: a person decides about its money."""
    request = None if refund.for_request is None else find(order.requests, RequestKind.REFUND, refund.for_request)
    if request is None:
        return order
    back = max(request.returned_minor - amount_minor, 0)
    return order.with_request(replace(request, state=RequestState.TAKEN, ended_at=None, returned_minor=back))


def _refund_of(order: Order, failure: RefundFailure) -> Operation | None:
    """Return the refund that is to be booked as failed.

    One that is still unfinished hears of its failure by its own look-up. One that a person has made good by other means
    has the id of that, and stays. One that a person has named for a later call counts as that call's.
    """
    counted = [o for o in order.operations if o.kind is OperationKind.REFUND and o.state is OperationState.APPROVED]
    made = next((o for o in counted if str(o.operation_id) == failure.operation_id), None)
    if made is not None:
        return made if made.reference in {None, failure.refund_id} else None
    return next((o for o in counted if o.reference == failure.refund_id), None)

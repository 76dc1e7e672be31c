"""The conditions of the rows. Each looks at one case and changes nothing."""

from domain.case import Case
from domain.disputing import REFUSALS
from domain.failure_codes import FailureCode
from domain.operating import key_lives
from domain.operation import OperationKind, OperationState
from domain.order import HoldState, Status
from domain.outcome import AlreadyCaptured, Declined, Pending, Reserved, Unknown
from domain.pending import AT_OTHERS, is_overdue, waits_for_others
from domain.retries import is_too_old, retry_refusal
from domain.rules import span
from domain.stock_calls import lasts_too_short
from schemas.events import OrderConfirmed, PaymentRetryRequested

# In rows of plans


def always(_: Case) -> bool:
    """Hold for every case."""
    return True


def too_old(case: Case) -> bool:
    """Whether the order is so old that the gateway may have forgotten its keys."""
    return is_too_old(case.event_as(OrderConfirmed), case.context)


def free(case: Case) -> bool:
    """Whether there is nothing to pay."""
    return case.event_as(OrderConfirmed).total_minor == 0


def current(case: Case) -> bool:
    """Whether the event is about the current attempt, and no operation is under way (else it was planned before).

    While a cancel is noted, nothing more is begun.
    """
    order = case.order
    return getattr(case.event, "attempt", None) == order.attempt and not order.busy() and order.cancel is None


def ahead_of_us(case: Case) -> bool:
    """Whether the event is about an attempt or a version that the order has not reached."""
    event, order = case.event, case.order
    return getattr(event, "attempt", 0) > order.attempt or getattr(event, "order_version", 0) > order.version


def retry_is_behind(case: Case) -> bool:
    """Whether there is a later attempt already than the one after which the customer retries."""
    return case.event_as(PaymentRetryRequested).after_attempt < case.order.attempt


def retry_is_ahead(case: Case) -> bool:
    """Whether the customer retries after an attempt that does not exist."""
    return case.event_as(PaymentRetryRequested).after_attempt > case.order.attempt


def retry_allowed(case: Case) -> bool:
    """Whether the order may be paid by another method now."""
    return retry_refusal(case.order, case.event_as(PaymentRetryRequested), case.context) is None


def live_hold(case: Case) -> bool:
    """Whether the hold is live, so that the goods are surely ours."""
    hold = case.order.hold_of(case.order.attempt)
    return current(case) and hold is not None and hold.is_live(case.context.at)


def live_hold_and_money(case: Case) -> bool:
    """Whether the hold is live and there is money to capture."""
    return live_hold(case) and case.order.current.held_minor > 0


def extending(case: Case) -> bool:
    """Whether an extension of the hold is under way: the capture follows its answer."""
    return case.order.under_way(OperationKind.EXTEND, case.order.attempt) is not None


def live_hold_elsewhere_and_money(case: Case) -> bool:
    """Whether the hold is live as far as we know, in an inventory that keeps time by itself, with money to capture."""
    return case.context.rules.inventory_elsewhere and live_hold_and_money(case)


def money_moved(case: Case) -> bool:
    """Whether there is money to give back."""
    attempt = case.order.current
    return current(case) and (attempt.held_minor > 0 or case.order.left_minor(attempt) > 0)


# In rows of outcomes


def of_current_attempt(case: Case) -> bool:
    """Whether the outcome is about the current attempt."""
    return case.call.attempt == case.order.attempt


def goods_live(case: Case) -> bool:
    """Whether the attempt still has its pinned hold. It may not: an operator may settle a capture much later."""
    hold = case.order.hold_of(case.call.attempt)
    return of_current_attempt(case) and hold is not None and hold.state is HoldState.HELD and hold.pinned


def capture_waits(case: Case) -> bool:
    """Whether the capture waits for this extension: the hold is pinned for it, and nothing else is under way.

    While a cancel is noted nothing is captured.
    """
    order = case.order
    hold = order.hold_of(order.attempt)
    ready = hold is not None and hold.needed and not order.busy() and order.cancel is None
    return of_current_attempt(case) and ready and order.current.held_minor > 0


def extended_too_little(case: Case) -> bool:
    """Whether the capture waits for this extension, and half of its time is over already: its answer is late."""
    rests = case.outcome_as(Reserved).expires_at - case.context.at
    return capture_waits(case) and rests < span(case.context.rules.reservation_ttl_s / 2)


def goods_gone(case: Case) -> bool:
    """Whether the hold in an inventory elsewhere has run out, and the capture that was to follow has had no effect."""
    hold = case.order.hold_of(case.call.attempt)
    gone = hold is None or not hold.needed
    return case.context.rules.inventory_elsewhere and of_current_attempt(case) and gone


def asks_too_little(case: Case) -> bool:
    """Whether the extension would be over too soon if it came now. An answer that makes no sense is looked up first."""
    makes_no_sense = isinstance(case.outcome, Unknown) and case.outcome.replayed
    return lasts_too_short(case.call, case.context) and not makes_no_sense


def in_time(case: Case) -> bool:
    """Whether the approval came before a review. One that an operator found later is undone."""
    return of_current_attempt(case) and case.order.status is not Status.MANUAL_REVIEW


def left_open(case: Case) -> bool:
    """Whether the gateway refused the call, and keeps a transaction of it that could still be confirmed."""
    outcome = case.outcome_as(Declined)
    return of_current_attempt(case) and outcome.left_open and outcome.transaction_id is not None


def still_open(case: Case) -> bool:
    """Whether the gateway refused the call, and keeps what could still be confirmed, by the customer perhaps."""
    asked = of_current_attempt(case) and case.order.effective_status is Status.ACTION_REQUIRED
    return left_open(case) or (asked and case.attempt.transaction_id is not None)


def with_transaction(case: Case) -> bool:
    """Whether the gateway has told its transaction, so that it can be cancelled there."""
    return case.attempt.transaction_id is not None


def customer_has_time(case: Case) -> bool:
    """Whether the customer may still confirm the payment with their bank."""
    expires_at = case.attempt.action_expires_at
    return in_time(case) and expires_at is not None and case.context.at < expires_at


def overdue(case: Case) -> bool:
    """Whether the bank has been processing the payment for too long to wait for it any more."""
    call = case.call
    of_the_payment = call.kind is OperationKind.AUTHORIZE or call.amount_minor == 0
    return of_the_payment and in_time(case) and is_overdue(call, case.context)


def under_review(case: Case) -> bool:
    """Whether the outcome is an operator's word about a current attempt."""
    return of_current_attempt(case) and case.order.status is Status.MANUAL_REVIEW


def other_currency(case: Case) -> bool:
    """Whether the approval is in another currency: we cannot say how much of the order it is."""
    return of_current_attempt(case) and case.attempt.authorized_minor == 0


def approved_late(case: Case) -> bool:
    """Whether a void of what nobody had decided found all of it captured, and not given back since.

    An operator's word to cancel stands.
    """
    whole = case.attempt.kept_minor == case.order.total_minor and not case.outcome_as(AlreadyCaptured).returned
    return of_current_attempt(case) and case.call.amount_minor == 0 and whole and not cancelled(case)


def was_pending(case: Case) -> bool:
    """Whether the gateway was processing the payment before: the refusal may be what its key was answered then."""
    return case.call.state is OperationState.PENDING


def forgotten(case: Case) -> bool:
    """Whether the gateway was processing the payment for so long that it may have forgotten the key of the void."""
    return was_pending(case) and not key_lives(case.call, case.context.at, case.context.rules)


def others_gave_nothing(case: Case) -> bool:
    """Whether somebody else's refund, for which ours was refused, has come to nothing."""
    return waits_for_others(case.call) and case.left_minor > 0


def rest_is_kept(case: Case) -> bool:
    """Whether something was given back, but not all that we kept."""
    return case.returned_minor > 0 and case.left_minor > 0


def nothing_came_back(case: Case) -> bool:
    """Whether we keep as much as before the refund."""
    return case.returned_minor == 0 and case.left_minor > 0


def something_came_back(case: Case) -> bool:
    """Whether we keep less than before the refund."""
    return not nothing_came_back(case)


def first_of_nothing(case: Case) -> bool:
    """Whether this is the first void of a payment that nobody had decided on.

    Perhaps a bank was at work when it was refused, and that answer never came: its key repeats the refusal for good.
    """
    return case.call.amount_minor == 0 and case.call.try_number == 1


def reviewed_for_it(case: Case) -> bool:
    """Whether the order is under review for this very call, and nothing else is under way."""
    order, reason = case.order, case.order.review_reason or ""
    return order.status is Status.MANUAL_REVIEW and reason.startswith(f"{case.call.kind}_") and not order.busy()


def is_disputed(case: Case) -> bool:
    """Whether the gateway refuses to refund the payment because of a dispute."""
    disputed = case.order.disputed and of_current_attempt(case)
    return disputed or case.outcome_as(Declined).gateway_code in REFUSALS


def is_on_its_way(case: Case) -> bool:
    """Whether the gateway has made the refund. One that waits for somebody else's has not been made."""
    return case.outcome_as(Pending).detail != AT_OTHERS


def money_kept(case: Case) -> bool:
    """Whether we have captured money and not refunded it."""
    return of_current_attempt(case) and case.left_minor > 0


def capture_refused(case: Case) -> bool:
    """Whether the capture was refused before. Then the void found the money captured, and the goods are there."""
    return of_current_attempt(case) and case.attempt.failure_code is FailureCode.CAPTURE_REFUSED


def cancelled(case: Case) -> bool:
    """Whether an operator has cancelled an order that stood still: its money goes back, and then it fails."""
    return of_current_attempt(case) and case.attempt.failure_code is FailureCode.CANCELLED_BY_OPERATOR

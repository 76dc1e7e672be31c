"""The conditions in the rows of both tables. Each looks at one case and changes nothing."""

from domain.case import Case
from domain.failure_codes import FailureCode
from domain.order import HoldState, Status
from domain.retries import is_too_old, retry_refusal
from schemas.events import OrderConfirmed, PaymentRetryRequested

# Of plans


def always(_: Case) -> bool:
    """Hold for every case."""
    return True


def too_old(case: Case) -> bool:
    """Whether the order is older than the gateway surely remembers keys."""
    return is_too_old(case.event_as(OrderConfirmed), case.context)


def free(case: Case) -> bool:
    """Whether there is nothing to pay."""
    return case.event_as(OrderConfirmed).total_minor == 0


def current(case: Case) -> bool:
    """Whether the event speaks of the attempt that counts, and nothing is under way: then it was planned before."""
    return getattr(case.event, "attempt", None) == case.order.attempt and not case.order.busy()


def ahead_of_us(case: Case) -> bool:
    """Whether the event speaks of an attempt or a version that the order has not reached."""
    event, order = case.event, case.order
    return getattr(event, "attempt", 0) > order.attempt or getattr(event, "order_version", 0) > order.version


def retry_is_behind(case: Case) -> bool:
    """Whether the attempt after which the customer retries was followed by another already."""
    return case.event_as(PaymentRetryRequested).after_attempt < case.order.attempt


def retry_is_ahead(case: Case) -> bool:
    """Whether the customer retries after an attempt that there was not."""
    return case.event_as(PaymentRetryRequested).after_attempt > case.order.attempt


def retry_allowed(case: Case) -> bool:
    """Whether the order may be paid by another method now."""
    return retry_refusal(case.order, case.event_as(PaymentRetryRequested), case.context) is None


def live_hold(case: Case) -> bool:
    """Whether the goods are ours for sure."""
    hold = case.order.hold_of(case.order.attempt)
    return current(case) and hold is not None and hold.is_live(case.context.at)


def live_hold_and_money(case: Case) -> bool:
    """Whether the goods are ours for sure, and the money can be captured."""
    return live_hold(case) and case.order.current.held_minor > 0


def money_moved(case: Case) -> bool:
    """Whether there is money to give back."""
    attempt = case.order.current
    return current(case) and (attempt.held_minor > 0 or attempt.kept_minor > 0)


# Of outcomes


def of_current_attempt(case: Case) -> bool:
    """Whether the outcome is about the attempt that counts."""
    return case.call.attempt == case.order.attempt


def goods_live(case: Case) -> bool:
    """Whether the attempt still has its pinned hold. An operator may settle a capture long after."""
    hold = case.order.hold_of(case.call.attempt)
    return of_current_attempt(case) and hold is not None and hold.state is HoldState.HELD and hold.pinned


def in_time(case: Case) -> bool:
    """Whether the approval came in time: one that an operator found later is undone."""
    return of_current_attempt(case) and case.order.status is not Status.MANUAL_REVIEW


def money_kept(case: Case) -> bool:
    """Whether we have captured and not refunded."""
    return of_current_attempt(case) and case.attempt.kept_minor > 0


def capture_refused(case: Case) -> bool:
    """Whether the goods were there: the capture was refused, and yet the void found the money captured."""
    return of_current_attempt(case) and case.attempt.failure_code is FailureCode.CAPTURE_REFUSED


def cancelled(case: Case) -> bool:
    """Whether an operator has given up an order that stood still: its money goes back, and then it has failed."""
    return of_current_attempt(case) and case.attempt.failure_code is FailureCode.CANCELLED_BY_OPERATOR

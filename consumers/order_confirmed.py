"""When checkout has confirmed an order, we ask the gateway to authorize the whole amount.

Emits PaymentAuthorized, or PaymentFailed and a notification. If the customer must confirm the payment with their bank,
CustomerActionRequired comes first; if an approval must be given back, PaymentVoided or PaymentRefunded. Safe on
redelivery: a known order is never planned again, and the idempotency key of the operation follows from order and
attempt.
"""

from domain.cancel_requests import begin_cancelled_early, cancelled_early
from domain.conditions import (
    always,
    approved_late,
    cancelled,
    customer_has_time,
    free,
    in_time,
    left_open,
    of_current_attempt,
    other_currency,
    overdue,
    too_old,
    under_review,
)
from domain.customer_action import ask_customer, cancel_declined, end_overdue, fail_overdue
from domain.opening import accept_free, authorize, expire, take_repetition
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    OtherAmount,
    Pending,
    ReturnedElsewhere,
)
from domain.payment import (
    fail_at_authorize,
    fail_returned,
    give_back_other_amount,
    mark_authorized,
    take_late_approval,
)
from domain.reaction import Reaction
from domain.rows import ANY, NO_ORDER, On, When
from domain.settling import FIRST, LAST, ask_about_currency, wait
from schemas.events import (
    CustomerActionRequired,
    CustomerNotificationRequested,
    OrderCancelled,
    OrderConfirmed,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
)

AUTHORIZE, VOID, REFUND = OperationKind.AUTHORIZE, OperationKind.VOID, OperationKind.REFUND
ASKED = Status.ACTION_REQUIRED
HERE = (Status.CONFIRMED, ASKED)
FAILED = Status.PAYMENT_FAILED
OVER = (FAILED, Status.CANCELLED)
GIVEN_UP = (Status.PAYMENT_AUTHORIZED, Status.ITEMS_RESERVED)
"""Where an operator may give up an order that stood still. This reaction gives the money back."""

SETTLES = (
    *FIRST,
    On(VOID, (Approved, Lapsed), cancelled, fail_at_authorize, GIVEN_UP),
    On(REFUND, (Approved, Pending, ReturnedElsewhere), cancelled, fail_at_authorize, GIVEN_UP),
    On(AUTHORIZE, (Approved,), in_time, mark_authorized, HERE),
    On(AUTHORIZE, (CustomerMustAct,), in_time, ask_customer, Status.CONFIRMED),
    On(AUTHORIZE, (CustomerMustAct,), customer_has_time, wait, ASKED),
    On(AUTHORIZE, (Pending,), overdue, fail_overdue, HERE),
    On(AUTHORIZE, (Declined,), left_open, cancel_declined, Status.CONFIRMED),
    On(AUTHORIZE, (Declined,), of_current_attempt, cancel_declined, ASKED),  # the customer may still try again
    On(AUTHORIZE, (Declined, Lapsed), of_current_attempt, fail_at_authorize, HERE),
    On(AUTHORIZE, (Declined, Lapsed), under_review, end_overdue, FAILED),  # an operator: the bank never answered
    On(AUTHORIZE, (ReturnedElsewhere,), of_current_attempt, fail_returned, HERE),
    On(AUTHORIZE, (OtherAmount,), other_currency, ask_about_currency, (*HERE, *OVER)),
    On(AUTHORIZE, (OtherAmount,), of_current_attempt, give_back_other_amount, (*HERE, *OVER)),
    On(VOID, (AlreadyCaptured,), approved_late, take_late_approval, HERE),  # of what nobody had decided
    On(VOID, (Pending,), overdue, fail_overdue, HERE),
    On(VOID, (Approved, Lapsed), of_current_attempt, fail_at_authorize, HERE),
    On(REFUND, (Approved, Pending, ReturnedElsewhere), of_current_attempt, fail_at_authorize, HERE),
    *LAST,
)
"""The same for the first attempt and all later ones."""
EMITS = (
    CustomerActionRequired,
    PaymentAuthorized,
    PaymentVoided,
    PaymentRefunded,
    PaymentFailed,
    CustomerNotificationRequested,
)
CALLS = frozenset({AUTHORIZE, VOID, REFUND})

authorize_payment = Reaction(
    name="authorize_payment",
    trigger=OrderConfirmed,
    plans=(
        When(NO_ORDER, cancelled_early, begin_cancelled_early),
        When(NO_ORDER, too_old, expire),
        When(NO_ORDER, free, accept_free),
        When(NO_ORDER, always, authorize),
        When(ANY, always, take_repetition),
    ),
    settles=SETTLES,
    emits=(*EMITS, OrderCancelled),
    calls=CALLS,
    begins=True,
)

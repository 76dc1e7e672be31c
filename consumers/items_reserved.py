"""When the items are reserved, we capture the money and sell the hold: the order is Paid & Confirmed.

An inventory elsewhere lets holds lapse by its own clock: there the hold is extended first, and without its word that it
is, nothing is captured.

Emits PaidAndConfirmed. Or, when the gateway refuses the capture: PaymentVoided, PaymentFailed and a notification; when
somebody gave the money back there before we saw it captured, PaymentRefunded in place of PaymentVoided. Safe
on redelivery: one capture an attempt, by its own idempotency key, and never without a live, pinned hold.
"""

from domain.conditions import (
    cancelled,
    capture_refused,
    capture_waits,
    current,
    extended_too_little,
    extending,
    goods_gone,
    goods_live,
    live_hold,
    live_hold_and_money,
    live_hold_elsewhere_and_money,
    money_kept,
    of_current_attempt,
)
from domain.extending import extend, extend_further
from domain.goods import capture, capture_extended, confirm
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotFound,
    OtherAmount,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
)
from domain.payment import (
    fail_at_capture,
    fail_for_goods,
    fail_lapsed,
    fail_reservation,
    fail_returned,
    fail_uncaptured,
    give_back,
    mark_paid,
)
from domain.reaction import Reaction
from domain.rows import On, When
from domain.settling import FIRST, LAST, OURS, ask_about_part, do_nothing
from schemas.events import (
    CustomerNotificationRequested,
    ItemsReserved,
    PaidAndConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ReservationFailed,
)

CAPTURE, CONFIRM, EXTEND = OperationKind.CAPTURE, OperationKind.CONFIRM, OperationKind.EXTEND
VOID, REFUND = OperationKind.VOID, OperationKind.REFUND
HERE = Status.ITEMS_RESERVED

capture_payment = Reaction(
    name="capture_payment",
    trigger=ItemsReserved,
    plans=(
        *OURS,
        When(HERE, extending, do_nothing),  # planned before
        When(HERE, live_hold_elsewhere_and_money, extend),
        When(HERE, live_hold_and_money, capture),
        When(HERE, live_hold, confirm),  # captured before, or nothing to pay
        When(HERE, current, fail_reservation),
    ),
    settles=(
        On(CAPTURE, (NotFound,), goods_gone, fail_uncaptured, HERE),
        *FIRST,
        On(EXTEND, (Reserved,), extended_too_little, extend_further, HERE),
        On(EXTEND, (Reserved,), capture_waits, capture_extended, HERE),
        On(EXTEND, (Lapsed,), capture_waits, fail_lapsed, HERE),
        On(CAPTURE, (Approved, AlreadyCaptured), goods_live, confirm, HERE),
        On(CAPTURE, (Approved, AlreadyCaptured), of_current_attempt, give_back, HERE),
        On(CAPTURE, (OtherAmount,), of_current_attempt, ask_about_part, HERE),
        On(CAPTURE, (Declined,), of_current_attempt, give_back, HERE),
        On(CAPTURE, (Lapsed,), of_current_attempt, fail_at_capture, HERE),
        On(CAPTURE, (ReturnedElsewhere,), of_current_attempt, fail_returned, HERE),
        On(CONFIRM, (Approved,), of_current_attempt, mark_paid, HERE),
        On(CONFIRM, (Short, Declined, Lapsed), money_kept, give_back, HERE),
        On(CONFIRM, (Short, Declined, Lapsed), of_current_attempt, fail_for_goods, HERE),
        On(VOID, (Approved, Lapsed), of_current_attempt, fail_at_capture, HERE),
        On(REFUND, (Approved, Pending, ReturnedElsewhere), capture_refused, fail_at_capture, HERE),
        On(REFUND, (Approved, Pending, ReturnedElsewhere), cancelled, fail_returned, HERE),
        On(REFUND, (Approved, Pending, ReturnedElsewhere), of_current_attempt, fail_for_goods, HERE),
        *LAST,
    ),
    emits=(
        PaidAndConfirmed,
        ReservationFailed,
        PaymentVoided,
        PaymentRefunded,
        PaymentFailed,
        CustomerNotificationRequested,
    ),
    calls=frozenset({EXTEND, CAPTURE, CONFIRM, VOID, REFUND}),
)

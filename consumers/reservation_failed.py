"""When the items cannot be reserved, we give the money back: void what is authorized, refund what is captured.

Emits PaymentVoided or PaymentRefunded, and PaymentFailed with a notification. Safe on redelivery: one void and one
refund an attempt, each by its own idempotency key, over exactly the amount that was moved.
"""

from domain.conditions import current, money_moved, of_current_attempt
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import Approved, Lapsed, Pending, ReturnedElsewhere
from domain.payment import fail_for_goods, give_back
from domain.reaction import Reaction
from domain.rows import On, When
from domain.settling import FIRST, LAST, OURS
from schemas.events import (
    CustomerNotificationRequested,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ReservationFailed,
)

VOID, REFUND = OperationKind.VOID, OperationKind.REFUND
HERE = Status.RESERVATION_FAILED

return_payment = Reaction(
    name="return_payment",
    trigger=ReservationFailed,
    plans=(
        *OURS,
        When(HERE, money_moved, give_back),
        When(HERE, current, fail_for_goods),
    ),
    settles=(
        *FIRST,
        On(VOID, (Approved, Lapsed), of_current_attempt, fail_for_goods, HERE),
        On(REFUND, (Approved, Pending, ReturnedElsewhere), of_current_attempt, fail_for_goods, HERE),
        *LAST,
    ),
    emits=(PaymentVoided, PaymentRefunded, PaymentFailed, CustomerNotificationRequested),
    calls=frozenset({VOID, REFUND}),
)

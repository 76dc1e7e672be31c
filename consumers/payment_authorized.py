"""When a payment is authorized, we reserve the items, every line or none.

Emits ItemsReserved or ReservationFailed, and ReservationReleased for the hold of an older attempt. Safe on redelivery:
the hold's id follows from order and attempt.
"""

from domain.conditions import current, of_current_attempt
from domain.goods import reserve
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import Lapsed, Reserved, Short
from domain.payment import fail_reservation, mark_reserved
from domain.reaction import Reaction
from domain.rows import On, When
from domain.settling import FIRST, LAST, OURS
from schemas.events import ItemsReserved, PaymentAuthorized, ReservationFailed, ReservationReleased

RESERVE, RELEASE = OperationKind.RESERVE, OperationKind.RELEASE
HERE = Status.PAYMENT_AUTHORIZED

reserve_items = Reaction(
    name="reserve_items",
    trigger=PaymentAuthorized,
    plans=(*OURS, When(HERE, current, reserve)),
    settles=(
        *FIRST,
        On(RESERVE, (Reserved,), of_current_attempt, mark_reserved, HERE),
        On(RESERVE, (Short, Lapsed), of_current_attempt, fail_reservation, HERE),
        *LAST,
    ),
    emits=(ItemsReserved, ReservationFailed, ReservationReleased),
    calls=frozenset({RESERVE, RELEASE}),
)

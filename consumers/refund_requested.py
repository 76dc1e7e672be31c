"""When somebody asks to give back money of a paid order, we refund it, and restock the lines that they name.

Emits PaymentRefunded with the request's id and a notification, ItemsRestocked, or RefundRefused. The order stays paid.
Safe on redelivery: each request is taken once by its id, its refund has an idempotency key of its own, and requests
that race each other are taken one after the other, never for more than is kept.
"""

from domain.conditions import always, is_disputed
from domain.early import wait_for_order
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import Approved, Declined, NotFound, ReturnedElsewhere
from domain.reaction import Reaction
from domain.refund_answers import (
    ask_again,
    end_refund_on_request,
    give_way,
    in_part,
    others_came_to_nothing,
    refund_rest,
    refuse_disputed,
    unexplained,
)
from domain.refunding import (
    asked_before,
    has_too_many,
    note_refund,
    refuse_one_more,
    take_repeated_request,
)
from domain.rows import ANY, NO_ORDER, On, When
from domain.settling import FIRST, LAST, ask_operator
from schemas.events import (
    CustomerNotificationRequested,
    ItemsRestocked,
    PaymentRefunded,
    RefundRefused,
    RefundRequested,
)

REFUND, RESTOCK = OperationKind.REFUND, OperationKind.RESTOCK

refund_payment = Reaction(
    name="refund_payment",
    trigger=RefundRequested,
    plans=(
        When(NO_ORDER, always, wait_for_order),
        When(ANY, asked_before, take_repeated_request),
        When(ANY, has_too_many, refuse_one_more),
        When(ANY, always, note_refund),
    ),
    settles=(
        On(REFUND, (NotFound,), others_came_to_nothing, ask_again),
        On(REFUND, (ReturnedElsewhere,), unexplained, ask_operator),
        On(REFUND, (ReturnedElsewhere,), always, give_way),
        On(REFUND, (Declined,), is_disputed, refuse_disputed, Status.PAID_AND_CONFIRMED),
        On(REFUND, (Approved,), in_part, refund_rest),
        On(REFUND, (Approved,), always, end_refund_on_request),
        *FIRST,
        *LAST,
    ),
    emits=(PaymentRefunded, RefundRefused, ItemsRestocked, CustomerNotificationRequested),
    calls=frozenset({REFUND, RESTOCK}),
)

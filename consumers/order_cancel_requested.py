"""When somebody asks to cancel an order, we note it, and give the money back as soon as nothing is under way.

Emits CancellationRefused and a notification, or later OrderCancelled and a notification; PaymentVoided or
PaymentRefunded for the money. While a cancel is noted nothing is reserved or captured, and the order is not told as
paid (domain/cancelling.py). A cancel may come before its order: then nothing is called. Safe on redelivery: a request
is known by its id.
"""

from domain.cancel_requests import (
    asked_before,
    asked_otherwise,
    asked_too_often,
    cancel_is_noted,
    failed_for_good,
    is_cancelled,
    note_cancel,
    paid_and_disputed,
    paid_too_long_ago,
    preparation_began,
    refuse_another,
    refuse_cancelled,
    refuse_disputed,
    refuse_failed,
    refuse_late,
    refuse_other_content,
    refuse_prepared,
    wait_behind,
)
from domain.conditions import always
from domain.early import wait_for_order
from domain.operation import OperationKind
from domain.reaction import Reaction
from domain.rows import ANY, NO_ORDER, When
from domain.settling import FIRST, LAST, do_nothing
from schemas.events import (
    CancellationRefused,
    CustomerNotificationRequested,
    OrderCancelled,
    OrderCancelRequested,
    PaymentRefunded,
    PaymentVoided,
)

cancel_order = Reaction(
    name="cancel_order",
    trigger=OrderCancelRequested,
    plans=(
        When(NO_ORDER, always, wait_for_order),
        When(ANY, asked_before, do_nothing),
        When(ANY, asked_otherwise, refuse_other_content),
        When(ANY, asked_too_often, refuse_another),
        When(ANY, is_cancelled, refuse_cancelled),
        When(ANY, cancel_is_noted, wait_behind),
        When(ANY, failed_for_good, refuse_failed),
        When(ANY, preparation_began, refuse_prepared),
        When(ANY, paid_and_disputed, refuse_disputed),
        When(ANY, paid_too_long_ago, refuse_late),
        When(ANY, always, note_cancel),
    ),
    settles=(*FIRST, *LAST),
    emits=(
        OrderCancelled,
        CancellationRefused,
        PaymentVoided,
        PaymentRefunded,
        CustomerNotificationRequested,
    ),
    calls=frozenset({OperationKind.VOID, OperationKind.REFUND}),
)

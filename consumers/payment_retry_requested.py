"""When a customer pays again with another method, we ask the gateway to authorize the next attempt.

Emits what authorize_payment emits, or a notification why the order may not be paid again. It may come before its order
can be read here: then it waits. Safe on redelivery and on a
second click: the event names the attempt that failed, and an event about an older attempt has no effect.
"""

from consumers.order_confirmed import CALLS, EMITS, SETTLES
from domain.conditions import always, retry_allowed, retry_is_ahead, retry_is_behind
from domain.early import wait_for_order
from domain.opening import refuse_early_retry, refuse_retry, retry
from domain.order import Status
from domain.reaction import Reaction
from domain.rows import ANY, NO_ORDER, When
from domain.settling import do_nothing
from schemas.events import PaymentRetryRequested

retry_payment = Reaction(
    name="retry_payment",
    trigger=PaymentRetryRequested,
    plans=(
        When(NO_ORDER, always, wait_for_order),
        When(ANY, retry_is_behind, do_nothing),
        When(ANY, retry_is_ahead, refuse_early_retry),
        When(Status.PAYMENT_FAILED, retry_allowed, retry),
        When(ANY, always, refuse_retry),
    ),
    settles=SETTLES,
    emits=EMITS,
    calls=CALLS,
)

"""When a customer pays again with another method, we ask the gateway to authorize the next attempt.

Emits what authorize_payment emits, or a notification why the order may not be paid again. Safe on redelivery and on a
repeated click: the event names the attempt that failed, and an older one has no effect.
"""

from consumers.order_confirmed import settle
from domain.decision import NOTHING, Decision, refuse
from domain.opening import refuse_retry, retry
from domain.operation import OperationKind
from domain.order import Order
from domain.reaction import Reaction
from domain.rules import Context
from domain.transitions import Trigger, planned
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentRetryRequested,
    PaymentVoided,
)
from schemas.rejection import Reason

NAME = "retry_payment"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Begin the next attempt if the last one failed, may be retried, and the window is open."""
    assert isinstance(event, PaymentRetryRequested)
    trigger = planned(order, event, context)
    if order is None:
        return refuse(Reason.UNKNOWN_ORDER, "there is no such order; publish its OrderConfirmed first, then redrive.")
    match trigger:
        case Trigger.RETRY:
            return retry(order, event, context, NAME)
        case Trigger.REFUSE_RETRY:
            return refuse_retry(order, event, context)
        case Trigger.AHEAD:
            return refuse(
                Reason.ILLEGAL_TRANSITION,
                f"after_attempt {event.after_attempt} has not happened; the order is at attempt {order.attempt}.",
            )
        case _:
            return NOTHING


retry_payment = Reaction(
    name=NAME,
    trigger=PaymentRetryRequested,
    plan=plan,
    settle=settle,
    emits=(PaymentAuthorized, PaymentVoided, PaymentRefunded, PaymentFailed, CustomerNotificationRequested),
    calls=frozenset({OperationKind.AUTHORIZE, OperationKind.VOID, OperationKind.REFUND}),
)

"""When checkout has confirmed an order, we ask the gateway to authorize the whole amount.

Emits PaymentAuthorized, or PaymentFailed and a notification; first PaymentVoided or PaymentRefunded when an approval
that an operator found is given back. Safe on redelivery: a known order is never planned again, and the operation's
idempotency key follows from order and attempt.
"""

from domain.decision import Decision
from domain.opening import accept_free, authorize, expire, same_or_conflict
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.payment import authorize_failed, authorized
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise
from domain.transitions import Step, Trigger, planned
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    OrderConfirmed,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
)

NAME = "authorize_payment"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Authorize a new order; a free one needs no gateway, one that is too old is never charged."""
    assert isinstance(event, OrderConfirmed)
    match planned(order, event, context):
        case Trigger.AUTHORIZE:
            return authorize(event, context, NAME)
        case Trigger.ACCEPT_FREE:
            return accept_free(event, context)
        case Trigger.EXPIRE:
            return expire(event, context)
        case _:
            assert order is not None
            return same_or_conflict(order, event, context)


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Approved: payment authorized. Declined: payment failed, and the customer may try another method."""
    step, order, outcome = judge(order, operation, outcome, context)
    match step:
        case Step.AUTHORIZED:
            return authorized(order, context)
        case Step.AUTHORIZE_FAILED:
            return authorize_failed(order, operation, outcome, context)
        case _:
            return otherwise(step, order, operation, context)


authorize_payment = Reaction(
    name=NAME,
    trigger=OrderConfirmed,
    plan=plan,
    settle=settle,
    emits=(PaymentAuthorized, PaymentVoided, PaymentRefunded, PaymentFailed, CustomerNotificationRequested),
    calls=frozenset({OperationKind.AUTHORIZE, OperationKind.VOID, OperationKind.REFUND}),
)

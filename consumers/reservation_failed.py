"""When the items cannot be had, we give the money back: void what is authorized, refund what is captured.

Emits PaymentVoided or PaymentRefunded, and PaymentFailed with a notification. Safe on redelivery: one void and one
refund an attempt, each by its own idempotency key, over exactly what was moved.
"""

from domain.decision import NOTHING, Decision
from domain.goods import return_money
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.payment import nothing_held, reserve_failed
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise, refuse_stray
from domain.transitions import Step, Trigger, planned
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ReservationFailed,
)

NAME = "return_payment"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Return the money of the current attempt; where none was moved the order has failed at once."""
    match planned(order, event, context):
        case Trigger.RETURN if order is not None:
            return return_money(order, context, NAME)
        case Trigger.CLOSE if order is not None:
            return nothing_held(order, context)
        case Trigger.UNKNOWN_ORDER | Trigger.AHEAD as trigger:
            return refuse_stray(trigger, event)
        case _:
            return NOTHING


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Money back, or surely on its way: payment failed. Captured meanwhile: refund next."""
    step, order, _ = judge(order, operation, outcome, context)
    match step:
        case Step.RESERVE_FAILED:
            return reserve_failed(order, operation, context)
        case _:
            return otherwise(step, order, operation, context)


return_payment = Reaction(
    name=NAME,
    trigger=ReservationFailed,
    plan=plan,
    settle=settle,
    emits=(PaymentVoided, PaymentRefunded, PaymentFailed, CustomerNotificationRequested),
    calls=frozenset({OperationKind.VOID, OperationKind.REFUND}),
)

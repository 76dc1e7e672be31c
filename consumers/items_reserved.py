"""When the items are reserved, we capture the money and sell the hold: the order is Paid & Confirmed.

Emits PaidAndConfirmed, or PaymentVoided, PaymentFailed and a notification when the gateway refuses the capture. Safe on
redelivery: one capture operation an attempt, by its own idempotency key, and never without a live, pinned hold.
"""

from domain.decision import NOTHING, Decision
from domain.goods import capture, confirm, lapse
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.payment import capture_failed, paid, reserve_failed
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise, refuse_stray
from domain.transitions import Step, Trigger, planned
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    ItemsReserved,
    PaidAndConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ReservationFailed,
)

NAME = "capture_payment"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Capture; money that is captured already, or a free order, goes straight to the sale."""
    match planned(order, event, context):
        case Trigger.CAPTURE if order is not None:
            return capture(order, context, NAME)
        case Trigger.CONFIRM if order is not None:
            return confirm(order, context, NAME)
        case Trigger.LAPSE if order is not None:
            return lapse(order, context)
        case Trigger.UNKNOWN_ORDER | Trigger.AHEAD as trigger:
            return refuse_stray(trigger, event)
        case _:
            return NOTHING


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Sell the hold once captured, then it is paid. Refused: void first, then payment failed, to be retried."""
    step, order, _ = judge(order, operation, outcome, context)
    match step:
        case Step.CONFIRM:
            return confirm(order, context, NAME)
        case Step.PAID:
            return paid(order, context)
        case Step.CAPTURE_FAILED:
            return capture_failed(order, operation, context)
        case Step.RESERVE_FAILED:
            return reserve_failed(order, operation, context)
        case _:
            return otherwise(step, order, operation, context)


capture_payment = Reaction(
    name=NAME,
    trigger=ItemsReserved,
    plan=plan,
    settle=settle,
    emits=(
        PaidAndConfirmed,
        ReservationFailed,
        PaymentVoided,
        PaymentRefunded,
        PaymentFailed,
        CustomerNotificationRequested,
    ),
    calls=frozenset({OperationKind.CAPTURE, OperationKind.CONFIRM, OperationKind.VOID, OperationKind.REFUND}),
)

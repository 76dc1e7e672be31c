"""When a payment is authorized, we reserve the items, every line or none.

Emits ItemsReserved or ReservationFailed, and ReservationReleased for what an older attempt held. Safe on redelivery:
the hold's id follows from order and attempt.
"""

from domain.decision import NOTHING, Decision
from domain.goods import reserve
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome, Reserved, Short
from domain.payment import reservation_failed, reserved
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise, refuse_stray
from domain.transitions import Step, Trigger, planned
from schemas.events import Event, ItemsReserved, PaymentAuthorized, ReservationFailed, ReservationReleased

NAME = "reserve_items"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Reserve for the current attempt, after giving back what older ones hold."""
    match planned(order, event, context):
        case Trigger.RESERVE if order is not None:
            return reserve(order, context, NAME)
        case Trigger.UNKNOWN_ORDER | Trigger.AHEAD as trigger:
            return refuse_stray(trigger, event)
        case _:
            return NOTHING


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """All lines held: items reserved. Any line short: reservation failed, and the money goes back."""
    step, order, outcome = judge(order, operation, outcome, context)
    match step, outcome:
        case Step.RESERVED, Reserved():
            return reserved(order, outcome, context)
        case Step.SHORT, Short(missing):
            return reservation_failed(order, missing, context)
        case _:
            return otherwise(step, order, operation, context)


reserve_items = Reaction(
    name=NAME,
    trigger=PaymentAuthorized,
    plan=plan,
    settle=settle,
    emits=(ItemsReserved, ReservationFailed, ReservationReleased),
    calls=frozenset({OperationKind.RESERVE, OperationKind.RELEASE}),
)

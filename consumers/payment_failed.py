"""When a payment has failed, we release the items that its attempt, or an older one, still holds.

Emits ReservationReleased for each. Safe on redelivery: a hold is released once, and a sold one never. It goes on while
the order is in quarantine: goods that nobody will pay for are free for others.
"""

from domain.decision import NOTHING, Decision
from domain.goods import release_holds
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise, refuse_stray
from domain.transitions import Trigger, planned
from schemas.events import Event, PaymentFailed, ReservationReleased

NAME = "release_items"


def plan(order: Order | None, event: Event, context: Context) -> Decision:
    """Release the holds of this attempt and of those before it."""
    assert isinstance(event, PaymentFailed)
    match planned(order, event, context):
        case Trigger.RELEASE if order is not None:
            return release_holds(order, event.attempt, context, NAME)
        case Trigger.UNKNOWN_ORDER | Trigger.AHEAD as trigger:
            return refuse_stray(trigger, event)
        case _:
            return NOTHING


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Released: say so."""
    step, order, _ = judge(order, operation, outcome, context)
    return otherwise(step, order, operation, context)


release_items = Reaction(
    name=NAME,
    trigger=PaymentFailed,
    plan=plan,
    settle=settle,
    emits=(ReservationReleased,),
    calls=frozenset({OperationKind.RELEASE}),
    waits=False,
)

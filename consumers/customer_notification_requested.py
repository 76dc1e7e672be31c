"""When a customer must be told something, we tell the notifier, once.

Emits nothing. Safe on redelivery: the notifier gets the event's id as its idempotency key. What is older than a day is
recorded and not sent: a replay of history must not write to anybody. It goes on while the order is in quarantine.
"""

from domain.decision import Decision
from domain.notifying import notify
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.reaction import Reaction
from domain.rules import Context
from domain.settling import judge, otherwise
from schemas.events import CustomerNotificationRequested, Event

NAME = "notify_customer"


def plan(_order: Order | None, event: Event, context: Context) -> Decision:
    """Hand the message to the notifier."""
    assert isinstance(event, CustomerNotificationRequested)
    return notify(event, context)


def settle(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Settle as every reaction does; this one opens no operation of its own."""
    step, order, _ = judge(order, operation, outcome, context)
    return otherwise(step, order, operation, context)


notify_customer = Reaction(
    name=NAME,
    trigger=CustomerNotificationRequested,
    plan=plan,
    settle=settle,
    emits=(),
    calls=frozenset(),
    waits=False,
)

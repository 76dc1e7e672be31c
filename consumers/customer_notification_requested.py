"""When a customer must be told something, we tell the notifier, once.

Emits nothing. Safe on redelivery: the notifier gets the event's id as its idempotency key. What is older than a day is
recorded and not sent: a replay of history must not write to anybody. It goes on while the order is in quarantine.
"""

from domain.conditions import always
from domain.notifying import notify
from domain.reaction import Reaction
from domain.rows import ANY, NO_ORDER, When
from schemas.events import CustomerNotificationRequested

notify_customer = Reaction(
    name="notify_customer",
    trigger=CustomerNotificationRequested,
    plans=(When(NO_ORDER + ANY, always, notify),),
    settles=(),
    emits=(),
    calls=frozenset(),
    waits=False,
)

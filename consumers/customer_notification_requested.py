"""When a customer needs a message, we pass it to the notifier, once.

Emits nothing. Safe on redelivery: the notifier gets the event's id as its idempotency key. A request older than a day
is recorded and not sent: a replay of old events must not reach customers. Also runs while the order is in quarantine.
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

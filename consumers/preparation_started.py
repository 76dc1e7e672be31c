"""When order preparation begins with an order, we note it: from then on the order is not cancelled.

Emits nothing. If the order is cancelled, or will be, an operator is called. It may come before its order. Safe on
redelivery: the first one counts.
"""

from domain.cancel_requests import (
    cancel_is_noted,
    is_cancelled,
    note_preparation,
    note_preparation_of_cancelled,
    preparation_began,
)
from domain.conditions import always
from domain.early import wait_for_order
from domain.reaction import Reaction
from domain.rows import ANY, NO_ORDER, When
from domain.settling import do_nothing
from schemas.events import PreparationStarted

note_preparation_start = Reaction(
    name="note_preparation_start",
    trigger=PreparationStarted,
    plans=(
        When(NO_ORDER, always, wait_for_order),
        When(ANY, preparation_began, do_nothing),
        When(ANY, is_cancelled, note_preparation_of_cancelled),
        When(ANY, cancel_is_noted, note_preparation_of_cancelled),
        When(ANY, always, note_preparation),
    ),
    settles=(),
    emits=(),
    calls=frozenset(),
)

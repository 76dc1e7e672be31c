"""When a payment has failed, we release the items that its attempt, or an older one, still holds.

Emits ReservationReleased for each. Safe on redelivery: a hold is released once, and a sold one never. Also runs while
the order is in quarantine: nobody will pay for these goods, so others may buy them.
"""

from domain.conditions import always
from domain.goods import release_holds
from domain.operation import OperationKind
from domain.reaction import Reaction
from domain.rows import ANY, When
from domain.settling import FIRST, LAST, OURS
from schemas.events import PaymentFailed, ReservationReleased

release_items = Reaction(
    name="release_items",
    trigger=PaymentFailed,
    plans=(*OURS, When(ANY, always, release_holds)),
    settles=(*FIRST, *LAST),
    emits=(ReservationReleased,),
    calls=frozenset({OperationKind.RELEASE}),
    waits=False,
)

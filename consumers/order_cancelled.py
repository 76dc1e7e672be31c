"""When an order is cancelled, we release the items that it holds. What was sold goes back into stock.

Emits ReservationReleased for each hold, and ItemsRestocked. Safe on redelivery: a hold is released once, and sold goods
come back once. Also runs while the order is in quarantine: nobody will get these goods, so others may buy them.
"""

from domain.conditions import always
from domain.goods import return_goods
from domain.operation import OperationKind
from domain.reaction import Reaction
from domain.rows import ANY, When
from domain.settling import FIRST, LAST, OURS
from schemas.events import ItemsRestocked, OrderCancelled, ReservationReleased

return_items = Reaction(
    name="return_items",
    trigger=OrderCancelled,
    plans=(*OURS, When(ANY, always, return_goods)),
    settles=(*FIRST, *LAST),
    emits=(ReservationReleased, ItemsRestocked),
    calls=frozenset({OperationKind.RELEASE, OperationKind.RESTOCK}),
    waits=False,
)

"""When a warehouse says that units of a SKU came in or went out, we adjust the internal stock.

Emits nothing. An event counts once, by its id; deltas need no order among each other. One that would take what is
available below zero is not applied: it becomes a dead letter, `stock_short`, to be redriven when there are units.
"""

from domain.conditions import always
from domain.reaction import Reaction
from domain.rows import NO_ORDER, When
from domain.stock import adjust
from schemas.events import StockAdjusted

adjust_stock = Reaction(
    name="adjust_stock",
    trigger=StockAdjusted,
    plans=(When(NO_ORDER, always, adjust),),
    settles=(),
    emits=(),
    calls=frozenset(),
    waits=False,
)

"""Numbers for new orders: by these the rows of an order are found.

Checkout's ids come in any order, so an index that begins with them is written at random places: the millionth order
costs more than the first. Our numbers grow with time, so indexes grow at their end. A process draws a thousand at once;
those that it does not use are a gap.
"""

from collections.abc import Awaitable, Callable, Sequence

from domain.ids import OrderId
from domain.order import Order
from outbox.schema.mapping import BLOCK
from outbox.store.statements import DRAW_ORDER_NUMBERS
from outbox.store.wire import Wire


class OrderNumbers:
    """The numbers that this process has drawn and not used. Each is used once, even if its transaction rolls back."""

    def __init__(self) -> None:
        self._left = range(0)

    async def take(self, count: int, draw: Callable[[], Awaitable[int]]) -> list[int]:
        """Return so many numbers, in ascending order. draw: draws the first number of a new block."""
        taken: list[int] = []
        while len(taken) < count:
            if not self._left:
                first = await draw()
                self._left = range(first, first + BLOCK)
            wanted = count - len(taken)
            taken += self._left[:wanted]
            self._left = self._left[wanted:]
        return taken

    async def number(self, orders: Sequence[Order], draw: Callable[[], Awaitable[int]]) -> dict[OrderId, int]:
        """Give new orders their numbers."""
        numbers = await self.take(len(orders), draw)
        return {order.order_id: number for order, number in zip(orders, numbers, strict=True)}


async def draw_block(wire: Wire) -> int:
    """Draw the first number of a new block."""
    ((first,),) = await wire.query(DRAW_ORDER_NUMBERS)
    return int(first)

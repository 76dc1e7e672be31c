"""What the store finds for an inventory elsewhere: its calls that are due, and its holds that lapse too soon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from domain.ids import OrderId

if TYPE_CHECKING:
    from domain.ports.store import Claimed


class StockWork(Protocol):
    """Part of `domain.ports.store.Store`. With an inventory in our own database there is never any."""

    async def claim_stock_calls(self, limit: int, lease_s: float) -> "Sequence[Claimed]":
        """Claim due operations at the inventory; skip those that others are claiming."""
        ...

    async def short_holds(self, within_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders whose hold lapses within so many seconds, while its capture or confirmation is under way."""
        ...

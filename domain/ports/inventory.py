"""The goods, as the pipeline sees them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.ids import OperationId, ReservationId
from domain.operation import OperationKind
from domain.order import OrderLine
from domain.outcome import Outcome
from domain.ports.store import Transaction
from domain.values import Value


class InventoryCall(Value, frozen=True):
    """A call at the inventory: reserve, confirm (sell) or release one hold; or restock sold units.

    Each SKU has one line; lines are sorted. request_id: of a restock, the request with which the units come back.
    """

    operation_id: OperationId
    kind: OperationKind
    reservation_id: ReservationId
    lines: tuple[OrderLine, ...]
    expires_at: datetime
    request_id: str | None = None


class InventoryAnswer(Value, frozen=True):
    """The inventory's answer: Reserved or Short to a reserve, Approved to the others."""

    operation_id: OperationId
    outcome: Outcome


class LocalInventory(Protocol):
    """An inventory in the same database: called in the transaction that decides, and settled at once.

    The caller holds the locks of the orders, and confirms or releases a hold only once.
    """

    async def perform(self, transaction: Transaction, calls: Sequence[InventoryCall]) -> Sequence[InventoryAnswer]:
        """Answer every call. A reserve holds all its lines or none. Raises Contended if another took the goods."""
        ...

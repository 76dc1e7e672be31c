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
    """What the inventory is asked: reserve, confirm (sell) or release one hold. A SKU is named once, sorted."""

    operation_id: OperationId
    kind: OperationKind
    reservation_id: ReservationId
    lines: tuple[OrderLine, ...]
    expires_at: datetime


class InventoryAnswer(Value, frozen=True):
    """What the inventory said: Reserved or Short to a reserve, Approved to the others."""

    operation_id: OperationId
    outcome: Outcome


class LocalInventory(Protocol):
    """An inventory in the same database: performed inside the transaction that decides, settled at once.

    The caller holds the orders' locks and asks for what their holds allow: a hold is confirmed or released only once.
    """

    async def perform(self, transaction: Transaction, calls: Sequence[InventoryCall]) -> Sequence[InventoryAnswer]:
        """Answer every call, each reserve wholly or not at all. Raises Contended when another took the goods."""
        ...

"""The goods, as the pipeline sees them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.decision import Adjustment
from domain.ids import EventId, OperationId, ReservationId
from domain.operation import OperationKind
from domain.order import OrderLine
from domain.outcome import Outcome
from domain.ports.store import Transaction
from domain.values import Value


class InventoryCall(Value, frozen=True):
    """A call at the inventory: reserve, confirm (sell) or release one hold. Each SKU has one line; lines are sorted."""

    operation_id: OperationId
    kind: OperationKind
    reservation_id: ReservationId
    lines: tuple[OrderLine, ...]
    expires_at: datetime


class InventoryAnswer(Value, frozen=True):
    """The inventory's answer: Reserved or Short to a reserve, Approved to the others."""

    operation_id: OperationId
    outcome: Outcome


class Refused(Value, frozen=True):
    """An adjustment that cannot be made: there are too few units (short), or more than can be counted.

    why: why, and what to do.
    """

    event_id: EventId
    short: bool
    why: str


class LocalInventory(Protocol):
    """An inventory in the same database: called in the transaction that decides, and settled at once.

    The caller holds the locks of the orders, and confirms or releases a hold only once.
    """

    async def perform(self, transaction: Transaction, calls: Sequence[InventoryCall]) -> Sequence[InventoryAnswer]:
        """Answer every call. A reserve holds all its lines or none. Raises Contended if another took the goods."""
        ...

    async def adjust(self, transaction: Transaction, adjustments: Sequence[Adjustment]) -> Sequence[Refused]:
        """Make these adjustments, in their order, and record each; return those that cannot be made, and why.

        A SKU that is not there is made, unless units go out of it. None takes what is available below zero.
        """
        ...

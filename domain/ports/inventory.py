"""The goods, as the pipeline sees them."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol

from domain.decision import Adjustment
from domain.ids import EventId, OperationId, ReservationId
from domain.operation import OperationKind
from domain.order import OrderLine
from domain.outcome import Outcome
from domain.ports.store import Transaction
from domain.stock_calls import StockCall
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
    """The inventory's answer: Reserved or Short to a reserve, Approved to the others.

    From an inventory elsewhere also Reserved to an extend, Lapsed where nothing is held any more, Unknown, NotExecuted
    and NotFound, as from a gateway. request_id: its id of the request that was answered, if it gives any.
    """

    operation_id: OperationId
    outcome: Outcome
    request_id: str | None = None


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


BeginStock = Callable[[StockCall], bool]
"""Called right before a call is sent. True: send it, and from then on it counts as made."""


def begin_always(_call: StockCall) -> bool:
    """Let every call begin."""
    return True


class RemoteInventory(Protocol):
    """An inventory elsewhere: called after the transaction, under a lease, and asked again when an answer is lost.

    Answers come in groups, in any order: exactly one for each call that began. A time-out, reset, 5xx or unreadable
    answer is the outcome Unknown. Calls without an answer may be repeated: each has its idempotency key.
    Raises DownForEverybody if the inventory refuses all our calls (401).
    """

    def perform(
        self, calls: Sequence[StockCall], begin: BeginStock = begin_always
    ) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Make the calls, many in one request where the inventory takes that. begin: see domain.ports.gateway."""
        ...

    def look_up(self, calls: Sequence[StockCall]) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Ask what became of the calls. Changes nothing. NotFound: the call has had no effect so far."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...

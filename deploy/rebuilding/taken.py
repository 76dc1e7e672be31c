"""What a take-over has done, and what it moved in the stock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from domain.operation import OperationKind
from domain.ports.inventory import InventoryCall


class Lag(NamedTuple):
    """An order that could not be taken over. It waits in quarantine, so that nothing is decided anew."""

    order_id: str
    version: int
    why: str


@dataclass(slots=True)
class TakenOver:
    """What was done. orders: brought to what their events say. begun: of these and others, the calls to be looked up.

    events: put into the journal, told or not; unsent: those of them that no topic has, which the relay sends. inbox:
    rows. loosely: orders whose events this release would put into other words. covered: units by SKU that the restored
    stock lacked. unread_since: the time-stamp on its topic, milliseconds since 1970, of the first message that was read
    before the loss, and that the database still does not know; None: there is none.
    """

    orders: int = 0
    begun: int = 0
    events: int = 0
    unsent: int = 0
    inbox: int = 0
    outbox: int = 0
    loosely: list[str] = field(default_factory=list)
    left: list[Lag] = field(default_factory=list)
    covered: dict[str, int] = field(default_factory=dict)
    unread_since: int | None = None

    def add(self, done: "TakenOver") -> None:
        """Add what a transaction has done, once it has committed."""
        self.orders += done.orders
        self.begun += done.begun
        self.events += done.events
        self.unsent += done.unsent
        self.inbox += done.inbox
        self.loosely += done.loosely
        self.left += done.left
        self.unread_since = min((at for at in (self.unread_since, done.unread_since) if at is not None), default=None)
        for sku, units in done.covered.items():
            self.covered[sku] = self.covered.get(sku, 0) + units


_MOVES: Final = {
    OperationKind.RESERVE: (-1, 1, 0),
    OperationKind.CONFIRM: (0, -1, 1),
    OperationKind.RELEASE: (1, -1, 0),
    OperationKind.RESTOCK: (1, 0, -1),
}
"""By what is asked of our own inventory: the changes of available, reserved and sold for each unit."""


def stock_moves(calls: Iterable[InventoryCall]) -> dict[str, list[int]]:
    """Return by SKU the changes of available, reserved and sold; SKUs of which nothing changes are left out."""
    moves: dict[str, list[int]] = {}
    for call in calls:
        for line in call.lines:
            moved = moves.setdefault(line.sku, [0, 0, 0])
            for n, sign in enumerate(_MOVES[call.kind]):
                moved[n] += sign * line.quantity
    return {sku: moved for sku, moved in moves.items() if any(moved)}

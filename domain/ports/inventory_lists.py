"""What an inventory elsewhere lists of the goods that it keeps for orders."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.ids import ReservationId
from domain.values import Value


class TheirState(StrEnum):
    """What has become of a hold there. Released and lapsed: its goods are free."""

    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    LAPSED = "lapsed"


class ListedHold(Value, frozen=True):
    """A hold as the inventory has it. lines, restocked: whole units by SKU. until: when it lapses, if it is held.

    lines are empty if it was released before it was made.
    """

    reservation_id: ReservationId
    order_id: str
    state: TheirState
    lines: Mapping[str, int]
    restocked: Mapping[str, int]
    until: datetime


class InventoryLists(Protocol):
    """The inventory's lists, in pages. They may be long, so nobody keeps them in memory."""

    def holds(self, since: datetime | None) -> AsyncIterator[Sequence[ListedHold]]:
        """Return all holds that changed since then (None: all), those of other shops included, each once.

        The iteration raises Transient if the inventory does not answer.
        """
        ...

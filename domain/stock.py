"""Adjustments of the stock: what a warehouse's event asks for, and what becomes of a SKU's units."""

from typing import NamedTuple

from domain.case import Case
from domain.decision import Adjustment, Decision
from domain.ids import EventId
from schemas.events import StockAdjusted
from schemas.fields import LONG_MAX


class Units(NamedTuple):
    """Whole units of one SKU: free to reserve, held, sold."""

    available: int
    reserved: int
    sold: int


def adjust(case: Case) -> Decision:
    """Ask for the units to be put in or taken out. Whether there are enough only the stock itself can say."""
    event = case.event_as(StockAdjusted)
    adjustment = Adjustment(EventId(event.event_id), event.sku, event.delta, event.reason)
    return Decision(None, adjustments=(adjustment,))


def adjusted(units: Units, delta: int) -> Units | None:
    """Return the units after an adjustment; None if it would take what is available below zero, or past any bound.

    Orders move units between the three, so their sum must fit into each column.
    """
    after = units._replace(available=units.available + delta)
    return after if after.available >= 0 and sum(after) <= LONG_MAX else None

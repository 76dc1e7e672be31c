"""What to do about an order that stands still: its events may have been lost with a broker's data."""

from typing import Final

from domain.cancelling import carry_out
from domain.case import Case
from domain.decision import Decision, silent
from domain.order import FINAL, Order
from domain.reviewing import review
from domain.rules import Context
from domain.values import replace

CANCELS: Final = "cancel_order"
"""The reaction that owns what a cancel opens."""


def revive(order: Order, context: Context) -> Decision | None:
    """Have its events sent again, a few times; then ask an operator. None: it is final, or somebody works on it."""
    if order.status in FINAL or any(operation.unfinished for operation in order.operations):
        return None
    if order.cancel is not None:
        # Nothing is under way, so nothing will carry out the cancel by itself.
        return carry_out(Case(order, replace(context, rules=replace(context.rules, lease_s=0)), CANCELS))
    if order.version == 0 or order.resends >= context.rules.resends_max:
        return review(order, None, "stuck", context)
    return silent(replace(order, resends=order.resends + 1))

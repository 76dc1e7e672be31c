"""What comes next for an order with requests, once something of it has ended: an outcome, or a review."""

from typing import Final

from domain.cancelling import carry_out, is_under_way
from domain.case import Case
from domain.decision import Decision
from domain.refunding import end_unserved, join, refuse_hopeless, take_waiting
from domain.restocking import OWNER
from domain.values import replace

CANCELS: Final = "cancel_order"
"""The reaction that owns what a cancel opens behind a refund on request: that one's rows are about requests alone."""


def carry_on(case: Case, decision: Decision) -> Decision:
    """Return the decision, and what follows from the requests of its order, in the order of their arrival.

    Refunds that wait are taken. A cancel that waited is carried out. case: with the order as the decision found it. Its
    reaction opens what a cancel must open.
    """
    order = case.order if decision.order is None else decision.order
    decision = end_unserved(take_waiting(replace(decision, order=order), case.context), case.context)
    order = decision.order or order
    if order.cancel is None or is_under_way(order):
        return refuse_hopeless(decision, case.context)
    reaction = CANCELS if case.reaction == OWNER else case.reaction
    cancelled = carry_out(replace(case, order=order, reaction=reaction))
    decision = end_unserved(take_waiting(join(decision, cancelled), case.context), case.context)
    return refuse_hopeless(decision, case.context)

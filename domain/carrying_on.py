"""What comes next for an order with requests, once something of it has ended: an outcome, or a review."""

from domain.cancelling import carry_out, is_under_way
from domain.case import Case
from domain.decision import Decision
from domain.values import replace


def carry_on(case: Case, decision: Decision) -> Decision:
    """Return the decision, and what follows from the requests of its order: a cancel that waited is carried out.

    case: with the order as the decision found it. Its reaction opens what must be opened.
    """
    order = case.order if decision.order is None else decision.order
    if order.cancel is None or is_under_way(order):
        return decision
    return _joined(decision, carry_out(replace(case, order=order)))


def _joined(first: Decision, then: Decision) -> Decision:
    """Return one decision in place of two, the second of which was made of the first one's order."""
    return replace(then, events=(*first.events, *then.events), alarm=first.alarm or then.alarm, dispute=first.dispute)

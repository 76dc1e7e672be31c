"""What comes next for an order with requests, once something of it has ended: an outcome, or a review."""

from typing import Final

from domain.cancelling import carry_out, is_under_way
from domain.case import Case
from domain.decision import Decision, silent
from domain.hearing import AT_REST
from domain.order import Order, Status
from domain.paid_review import end_review
from domain.refunding import end_unserved, join, refuse_hopeless, take_waiting
from domain.restocking import OWNER
from domain.rules import Context
from domain.values import replace

CANCELS: Final = "cancel_order"
"""The reaction that owns what a cancel opens behind a refund on request: that one's rows are about requests alone."""


def end_empty_review(decision: Decision, context: Context) -> Decision:
    """End a review for refused refunds of an order that was over, if nothing is kept that could be given back.

    Their requests are refused.
    """
    order = decision.order
    if order is None or not (order.review_reason == "refund_failed" and order.effective_status in AT_REST):
        return decision
    if any(o.unfinished for o in order.operations) or any(a.kept_minor or a.held_minor for a in order.attempts):
        return decision
    over = replace(order, status=order.effective_status, reviewed=None, review_reason=None)
    return end_unserved(replace(decision, order=over), context)


def end_needless_review(order: Order, context: Context) -> Decision | None:
    """End a review for refused refunds of an order that was over, if no refund is owed; None if one is.

    Somebody may have given the money back, or our own failed refund was counted in what others gave back.
    """
    if order.review_reason != "refund_failed":
        return None
    decision = end_empty_review(silent(order), context)
    over = end_review(decision.order or order)
    if over.status is Status.MANUAL_REVIEW:
        return None
    return carry_on(Case(over, context, CANCELS), replace(decision, order=over))


def carry_on(case: Case, decision: Decision) -> Decision:
    """Return the decision, and what follows from the requests of its order, in the order of their arrival.

    A review that has nothing to ask any more ends. Refunds that wait are taken. A cancel that waited is carried out.
    case: with the order as the decision found it. Its reaction opens what a cancel must open.
    """
    order = case.order if decision.order is None else decision.order
    decision = replace(decision, order=order)
    if case.order.status is Status.MANUAL_REVIEW:
        decision = end_empty_review(decision, case.context)
    decision = end_unserved(take_waiting(decision, case.context), case.context)
    order = decision.order or order
    if order.cancel is None or is_under_way(order):
        return refuse_hopeless(decision, case.context)
    reaction = CANCELS if case.reaction == OWNER else case.reaction
    cancelled = carry_out(replace(case, order=order, reaction=reaction))
    decision = end_unserved(take_waiting(join(decision, cancelled), case.context), case.context)
    return refuse_hopeless(decision, case.context)

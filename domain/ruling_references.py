"""Checks the reference of an operator's ruling: whether it can be the id of what the call made, or proves it.

What the gateway has of that id is in ruling_proofs.py.
"""

import re
from collections.abc import Sequence

from domain.gateway_sums import failed_unheard, foreign, is_behind, unbooked_minor, with_missing
from domain.hearing import with_closed
from domain.operation import Operation, OperationKind
from domain.order import Attempt, Order
from domain.ruling import Fits, No, Ruling
from domain.ruling_proofs import find_news, given_back_minor, why_not_authorized, why_not_moved, why_not_refunded
from domain.ways_out import (
    FIND_BY_SENDING,
    FIRST_TO_BE_BOOKED,
    FIRST_TO_BE_DECIDED,
    FIRST_TO_BE_TOLD_APART,
    MAY_STILL_BE_MADE,
    OUTSIDE,
    PROVES_NOTHING,
    SAID_BEFORE,
)


def check_transaction(order: Order, call: Operation, ruling: Ruling, fits: Fits) -> str | No:
    """Return the id of the transaction that the authorize made."""
    transaction_id = _check(call, ruling, fits, call.transaction_id, [a.transaction_id for a in _others(order, call)])
    if isinstance(transaction_id, No):
        return transaction_id
    why = why_not_authorized(order, call, transaction_id, ruling)
    return transaction_id if why is None else No(why)


def check_moved(call: Operation, ruling: Ruling) -> No | None:
    """Return why the capture or the void cannot have been executed; None if it can."""
    if ruling.reference not in {None, call.transaction_id}:
        return No(f"the {call.kind} is about transaction {call.transaction_id}, not {ruling.reference}")
    why = why_not_moved(call, ruling)
    return None if why is None else No(why)


def check_refund(order: Order, history: Sequence[Operation], call: Operation, ruling: Ruling, fits: Fits) -> str | No:
    """Return the id of the refund that gave the money back, or the proof that it went back past the gateway."""
    said = ruling.reference
    if said is not None and said.startswith(OUTSIDE):
        if any(o.operation_id.int == call.operation_id.int for o in history):
            return No(MAY_STILL_BE_MADE)
        if any(o.reference == said for o in history):
            return No(
                f"{said} stands for another refund of this order in our books: add to it what tells the two apart"
            )
        why = _why_not_outside(order, history, call, ruling)
        if why is not None:
            return No(why)
        return said if said != OUTSIDE else No(f"say by what it can be found: --reference {OUTSIDE}TEXT")
    for o in history:
        # What an earlier refund made is booked or has failed.
        if o.kind is call.kind and said == o.reference is not None and o.operation_id.int != call.operation_id.int:
            return No(f"refund {said} is {o.state} in our books, so {PROVES_NOTHING}")
    refund_id = _check(call, ruling, fits, call.reference, [a.refund_id for a in _others(order, call)])
    if isinstance(refund_id, No):
        return refund_id
    why = why_not_refunded(order, history, call, refund_id, ruling)
    return refund_id if why is None else No(why)


def _why_not_outside(order: Order, history: Sequence[Operation], call: Operation, ruling: Ruling) -> str | None:
    """Return why this money cannot be taken as paid past the gateway now; None if it can.

    Somebody else may have given money back at the gateway that the books do not have yet. It may be this very money, or
    it may leave too little of the payment. An operator who names that refund in the text says that it is another.
    """
    news = None if call.transaction_id is None else find_news(ruling, call.transaction_id)
    if news is None:
        return None
    full, attempt = with_closed(order, history), order.attempts[call.attempt - 1]
    news = with_missing(full, news, ruling.asked_at)
    if is_behind(full, attempt, news, asked_at=ruling.asked_at):
        return SAID_BEFORE
    known = {o.reference for o in full.operations}
    unbooked = max(unbooked_minor(full, attempt, news), 0)
    counted = {"succeeded"} if unbooked > 0 else set()
    others = [r for r in foreign(full, news) if r.refund_id not in known and r.state in counted | {"pending"}]
    named = set(re.findall(r"\w+", ruling.reference or ""))
    for refund in others:
        if refund.amount_minor == call.amount_minor and refund.refund_id not in named:
            why = FIRST_TO_BE_TOLD_APART if refund.state == "succeeded" else FIRST_TO_BE_DECIDED
            return why.format(refund=refund.refund_id, amount=refund.amount_minor)
    # A refund of ours that has failed is in the books until we hear of it, which is after this review.
    left = order.left_minor(attempt, call) - unbooked + sum(o.amount_minor for o in failed_unheard(full, news))
    if unbooked > 0 and call.amount_minor > left:
        # Where the gateway still has room it would take the refund, and the customer would have the money twice.
        refused_there = call.amount_minor > attempt.captured_minor - given_back_minor(news)
        return (FIND_BY_SENDING if refused_there else FIRST_TO_BE_BOOKED).format(amount=unbooked)
    pending = [refund for refund in others if refund.state == "pending"]
    if pending and call.amount_minor > left - sum(refund.amount_minor for refund in pending):
        return FIRST_TO_BE_DECIDED.format(refund=pending[0].refund_id, amount=pending[0].amount_minor)
    return None


def _check(call: Operation, ruling: Ruling, fits: Fits, known: str | None, others: Sequence[str | None]) -> str | No:
    """Return the gateway's id of what the call made. others: ids of the other attempts, which cannot be it."""
    reference = ruling.reference or known
    what, like = ("refund", "re_") if call.kind is OperationKind.REFUND else ("transaction", "pi_")
    if reference is None or not fits(call.kind, reference):
        return No(f"say which {what} the {call.kind} made: --reference with its id at the gateway ({like}...)")
    return No(f"{reference} is the {what} of another attempt of this order") if reference in others else reference


def _others(order: Order, call: Operation) -> list[Attempt]:
    return [attempt for attempt in order.attempts if attempt.number != call.attempt]

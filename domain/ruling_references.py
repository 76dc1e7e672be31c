"""Checks the reference of an operator's ruling: whether it can be the id of what the call made, or proves it."""

from collections.abc import Sequence

from domain.gateway_sums import foreign, unbooked_minor
from domain.hearing import with_closed
from domain.operation import Operation, OperationKind
from domain.order import Attempt, Order
from domain.ruling import Fits, No, Ruling
from domain.ways_out import FIRST_TO_BE_BOOKED, FIRST_TO_BE_DECIDED, MAY_STILL_BE_MADE, OUTSIDE, PROVES_NOTHING


def check_transaction(order: Order, call: Operation, ruling: Ruling, fits: Fits) -> str | No:
    """Return the id of the transaction that the authorize made."""
    return _check(call, ruling, fits, call.transaction_id, [a.transaction_id for a in _others(order, call)])


def check_refund(order: Order, history: Sequence[Operation], call: Operation, ruling: Ruling, fits: Fits) -> str | No:
    """Return the id of the refund that gave the money back, or the proof that it went back past the gateway."""
    said = ruling.reference
    if said is not None and said.startswith(OUTSIDE):
        if any(o.operation_id.int == call.operation_id.int for o in history):
            return No(MAY_STILL_BE_MADE)
        why = _why_not_outside(order, history, call, ruling)
        if why is not None:
            return No(why)
        return said if said != OUTSIDE else No(f"say by what it can be found: --reference {OUTSIDE}TEXT")
    for o in history:
        # What an earlier refund made is booked or has failed.
        if o.kind is call.kind and said == o.reference is not None and o.operation_id.int != call.operation_id.int:
            return No(f"refund {said} is {o.state} in our books, so {PROVES_NOTHING}")
    return _check(call, ruling, fits, call.reference, [a.refund_id for a in _others(order, call)])


def _why_not_outside(order: Order, history: Sequence[Operation], call: Operation, ruling: Ruling) -> str | None:
    """Return why money cannot have gone back past the gateway now: it gave some back that the books do not have yet."""
    news = next((news for news in ruling.seen if news.transaction_id == call.transaction_id), None)
    if news is None:
        return None
    attempt = order.attempts[call.attempt - 1]
    unbooked = unbooked_minor(with_closed(order, history), attempt, news)
    if unbooked > 0:
        return FIRST_TO_BE_BOOKED.format(amount=unbooked)
    pending = next((refund for refund in foreign(news) if refund.state == "pending"), None)
    return (
        None if pending is None else FIRST_TO_BE_DECIDED.format(refund=pending.refund_id, amount=pending.amount_minor)
    )


def _check(call: Operation, ruling: Ruling, fits: Fits, known: str | None, others: Sequence[str | None]) -> str | No:
    """Return the gateway's id of what the call made. others: ids of the other attempts, which cannot be it."""
    reference = ruling.reference or known
    what, like = ("refund", "re_") if call.kind is OperationKind.REFUND else ("transaction", "pi_")
    if reference is None or not fits(call.kind, reference):
        return No(f"say which {what} the {call.kind} made: --reference with its id at the gateway ({like}...)")
    return No(f"{reference} is the {what} of another attempt of this order") if reference in others else reference


def _others(order: Order, call: Operation) -> list[Attempt]:
    return [attempt for attempt in order.attempts if attempt.number != call.attempt]

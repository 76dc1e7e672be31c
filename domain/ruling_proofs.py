"""Holds an operator's word against what the gateway has of the payment: amount, currency, state, whose it is.

An id that is right in its form may still be of something else, and a ruling cannot be taken back. Each function returns
why the ruling is refused, with what to do; None if the gateway does not contradict it, or was not asked.
"""

from collections.abc import Sequence
from typing import Final

from domain.gateway_sums import is_behind, unbooked_minor, with_missing
from domain.hearing import with_closed
from domain.news import SeenRefund, TransactionNews
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order
from domain.ruling import Ruling, Word
from domain.ways_out import SAID_BEFORE
from schemas.money import Money

_INSTEAD: Final = f"--as {Word.NOT_EXECUTED}"


def why_not_authorized(order: Order, call: Operation, transaction_id: str, ruling: Ruling) -> str | None:
    """Return why the authorize has not made this transaction."""
    if ruling.seen is None:
        return None
    news = find_news(ruling, transaction_id)
    if news is None or news.order_id is None:
        return f"{transaction_id} names no order of ours at the gateway: look for the transaction of this order there"
    if news.order_id != order.order_id:
        return f"{transaction_id} is of order {news.order_id} at the gateway"
    if news.operation_id != str(call.operation_id):
        return f"{transaction_id} is not what this authorize made: at the gateway it has the id of another operation"
    return None


def why_not_moved(call: Operation, ruling: Ruling) -> str | None:
    """Return why the capture or the void was not executed. A transaction that the gateway lacks says nothing."""
    news = None if call.transaction_id is None else find_news(ruling, call.transaction_id)
    if news is None:
        return None
    what = f"{news.transaction_id} at the gateway"
    if call.kind is OperationKind.VOID:
        return None if news.cancelled else f"{what} is not cancelled: {_INSTEAD} has the void sent again"
    back = given_back_minor(news)
    if news.currency == call.currency and news.captured_minor - back >= call.amount_minor:
        return None
    taken, asked = Money(news.captured_minor, news.currency), Money(call.amount_minor, call.currency)
    gone = f", and {Money(back, news.currency)} of it went back" if back else ""
    return f"of {what} {taken} of {asked} is captured{gone}: {_INSTEAD} gives back what is there"


def why_not_refunded(
    order: Order, history: Sequence[Operation], call: Operation, refund_id: str, ruling: Ruling
) -> str | None:
    """Return why this refund has not given back the money that the call was to give back."""
    if ruling.seen is None:
        return None
    news = None if call.transaction_id is None else find_news(ruling, call.transaction_id)
    refund = None if news is None else next((r for r in news.refunds if r.refund_id == refund_id), None)
    if news is None or refund is None:
        return (
            f"refund {refund_id} gave back nothing of {call.transaction_id}, the payment in question: name a refund of "
            "that one"
        )
    named = f"refund {refund_id}"
    if refund.state == "failed":
        return f"{named} has failed at the gateway: {_instead(call)}"
    if (refund.amount_minor, refund.currency) != (call.amount_minor, call.currency):
        found, owed = Money(refund.amount_minor, refund.currency), Money(call.amount_minor, call.currency)
        return f"{named} gives back {found} of {owed} at the gateway: {_instead(call)}"
    if not _is_free(history, call, refund):
        return f"{named} is that of another operation, whose own answer books it: {_instead(call)}"
    made_by_call = refund.operation_id == str(call.operation_id)
    if made_by_call or refund.state != "succeeded":
        return None
    full = with_closed(order, history)
    attempt = full.attempts[call.attempt - 1]
    news = with_missing(full, news, ruling.asked_at)
    if is_behind(full, attempt, news, refund_id, ruling.asked_at):
        return SAID_BEFORE
    if unbooked_minor(full, attempt, news) < call.amount_minor:
        return f"our books have what {named} gave back already: {_instead(call)}"
    return None


def find_made(call: Operation, ruling: Ruling) -> SeenRefund | None:
    """Return the refund that the call has made at the gateway, if it has not failed there."""
    news = None if call.transaction_id is None else find_news(ruling, call.transaction_id)
    made = () if news is None else (r for r in news.refunds if r.operation_id == str(call.operation_id))
    return next((refund for refund in made if refund.state != "failed"), None)


def find_news(ruling: Ruling, transaction_id: str) -> TransactionNews | None:
    """Return what the gateway has of a transaction; None if it has nothing, or was not asked."""
    return next((news for news in ruling.seen or () if news.transaction_id == transaction_id), None)


def given_back_minor(news: TransactionNews) -> int:
    """Return what the gateway has given back, or is about to."""
    return sum(refund.amount_minor for refund in news.refunds if refund.state != "failed")


def _is_free(history: Sequence[Operation], call: Operation, refund: SeenRefund) -> bool:
    """Whether the refund can be this call's: somebody else made it, the call, or an earlier try that was given up."""
    maker = next((o for o in history if str(o.operation_id) == refund.operation_id), None)
    if maker is None or maker.operation_id.int == call.operation_id.int:
        return True
    over = not maker.unfinished and maker.state is not OperationState.APPROVED
    return over and (maker.attempt, maker.for_request) == (call.attempt, call.for_request)


def _instead(call: Operation) -> str:
    if call.for_request is None:
        return f"{_INSTEAD} has what is still owed refunded"
    return (
        f"so it is not the one of request {call.for_request}. {_INSTEAD} has that one sent again, whole, and what "
        "others gave back is booked by itself"
    )

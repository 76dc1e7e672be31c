"""What the gateway may have told unasked, by the events that came of it: a dispute, a refund of somebody else."""

from collections.abc import Callable
from typing import Final

from domain.disputing import OUTCOMES
from domain.gateway_sums import FOREIGN
from domain.hearing import Fact, ForeignRefund
from domain.news import Dispute, RefundFailure, SeenRefund, TransactionNews
from domain.operation import OperationKind, OperationState
from domain.order import Attempt, Order
from domain.values import replace
from schemas import events as e

_STATUS_OF: Final = {outcome: status for status, outcome in OUTCOMES.items()}


def _disputed(event: e.OwnEvent, _: Order, __: Attempt) -> Fact | None:
    if isinstance(event, e.PaymentDisputeClosed):
        status = _STATUS_OF.get(str(event.outcome.value), "")
    elif isinstance(event, e.PaymentDisputed):
        status = "needs_response"
    else:
        return None
    return Dispute(
        event.dispute_id,
        event.transaction_id,
        status,
        event.amount_minor,
        event.currency,
        event.reason,
        event.funds_withdrawn,
        # The gateway is asked again before money moves.
        refundable=status != "needs_response",
        opened_at=event.occurred_at,
    )


def _failed(event: e.OwnEvent, order: Order, _: Attempt) -> Fact | None:
    if not isinstance(event, e.PaymentRefundFailed):
        return None
    for operation in order.operations:
        if event.refund_id in {operation.reference, str(operation.operation_id)}:
            name = str(operation.operation_id)
            return RefundFailure(order.order_id, name, event.refund_id, event.amount_minor, event.reason)
    return None


def _foreign(event: e.OwnEvent, order: Order, attempt: Attempt) -> Fact | None:
    if not isinstance(event, e.PaymentRefunded) or event.request_id is not None:
        return None
    made = [
        SeenRefund(
            o.reference or str(o.operation_id),
            None if o.reaction == FOREIGN else str(o.operation_id),
            "succeeded",
            o.amount_minor,
            o.currency,
        )
        for o in order.operations
        if (o.attempt, o.kind, o.state) == (attempt.number, OperationKind.REFUND, OperationState.APPROVED)
    ]
    refund = SeenRefund(event.refund_id, None, "succeeded", event.amount_minor, event.currency)
    return ForeignRefund(refund, _news(event.transaction_id, order, attempt, (*made, refund)))


def _cancelled(event: e.OwnEvent, order: Order, attempt: Attempt) -> Fact | None:
    if not isinstance(event, e.PaymentVoided):
        return None
    return replace(_news(event.transaction_id, order, attempt, ()), held_minor=0, cancelled=True)


def _news(transaction: str, order: Order, attempt: Attempt, refunds: tuple[SeenRefund, ...]) -> TransactionNews:
    return TransactionNews(
        transaction,
        order.order_id,
        None,
        order.currency,
        held_minor=attempt.held_minor,
        captured_minor=attempt.captured_minor,
        refunds=refunds,
    )


FACTS: Final[tuple[Callable[[e.OwnEvent, Order, Attempt], Fact | None], ...]] = (
    _disputed,
    _failed,
    _foreign,
    _cancelled,
)
"""Each makes a fact of an event, of its order with all operations, and of the attempt; None: it tells of none."""

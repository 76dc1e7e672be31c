"""What the gateway tells, heard by the rows: builders for tests, and a shorthand."""

from typing import Any

from consumers.gateway_told import ROWS
from domain.decision import Decision
from domain.disputing import KnownDispute
from domain.hearing import Fact, ForeignRefund, Hearing, attempt_of, hear
from domain.news import Dispute, SeenRefund, TransactionNews
from domain.operation import OperationKind, operation_id
from domain.order import Order
from tests.domain.builders import AT, ORDER_ID, TOTAL, context, later

AUTHORIZE_ID = str(operation_id(ORDER_ID, 1, OperationKind.AUTHORIZE, 1))


def dispute(status: str = "needs_response", **overrides: Any) -> Dispute:
    """Build a dispute of the whole payment; a chargeback has withdrawn the money, an inquiry has not."""
    withdrawn = status in {"needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review"}
    fields: dict[str, Any] = {
        "dispute_id": "dp_1",
        "transaction_id": "pi_1",
        "status": status,
        "amount_minor": TOTAL,
        "currency": "EUR",
        "reason": "fraudulent",
        "funds_withdrawn": withdrawn,
        "refundable": not withdrawn,
        "opened_at": AT,
    }
    return Dispute(**(fields | overrides))


def news(*refunds: SeenRefund, **overrides: Any) -> TransactionNews:
    """Build what the gateway says of a captured payment."""
    fields: dict[str, Any] = {
        "transaction_id": "pi_1",
        "order_id": ORDER_ID,
        "operation_id": AUTHORIZE_ID,
        "currency": "EUR",
        "captured_minor": TOTAL,
        "refunds": refunds,
    }
    return TransactionNews(**(fields | overrides))


def refund(name: str = "re_9", amount_minor: int = TOTAL, **overrides: Any) -> SeenRefund:
    """Build a refund of somebody else that has succeeded."""
    fields: dict[str, Any] = {
        "refund_id": name,
        "operation_id": None,
        "state": "succeeded",
        "amount_minor": amount_minor,
        "currency": "EUR",
    }
    return SeenRefund(**(fields | overrides))


def told(known: Order, fact: Fact, *disputes: KnownDispute, asked_s: float = 0) -> Decision | None:
    """Let the rows hear a fact about pi_1, asked for so many seconds after AT."""
    transaction = fact.transaction_id if isinstance(fact, Dispute | TransactionNews) else "pi_1"
    attempt = attempt_of(known, transaction, AUTHORIZE_ID)
    return hear(ROWS, Hearing(known, fact, context(later(asked_s)), attempt, disputes, later(asked_s)))


def of(known: Order, which: SeenRefund, *all_of_them: SeenRefund) -> Decision | None:
    """Let the rows hear of one refund of somebody else, of those that the transaction has."""
    return told(known, ForeignRefund(which, news(*(all_of_them or (which,)))))

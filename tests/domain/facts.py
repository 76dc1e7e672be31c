"""What a decision says, without what every event has; and events as they usually are, to say only what differs."""

from typing import Any, Final

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode, reason_of
from domain.operation import OperationKind
from domain.order import Attempt, Status
from domain.outcome import Outcome
from tests.domain.builders import RULES, TOTAL, context, hold, later, operation, order

S = Status

_ENVELOPE: Final = frozenset(
    {"event_id", "occurred_at", "order_id", "correlation_id", "causation_id", "order_version", "ordinal"}
)
_MONEY: Final = {"attempt": 1, "amount_minor": TOTAL, "currency": "EUR"}
_FAILURE: Final = _MONEY | {
    "customer_id": "customer-1",
    "failure_code": "card_declined",
    "reason": reason_of(FailureCode.CARD_DECLINED),
    "money": "NONE",
    "retryable": True,
    "retry_until": later(RULES.retry_window_s),
}
AUTHORIZED: Final = _MONEY | {
    "type": "PaymentAuthorized",
    "transaction_id": "pi_1",
    "captured": False,
    "authorization_expires_at": None,
    "livemode": False,
}
FAILED: Final = _FAILURE | {"type": "PaymentFailed", "stage": "AUTHORIZE"}
NOTICE: Final = _FAILURE | {"type": "CustomerNotificationRequested", "kind": "PAYMENT_FAILED", "missing": ()}
VOIDED: Final = _MONEY | {"type": "PaymentVoided", "transaction_id": "pi_1"}
REFUNDED: Final = _MONEY | {"type": "PaymentRefunded", "transaction_id": "pi_1", "refund_id": "re_1"}


OWNER: Final = {
    S.CONFIRMED: "authorize_payment",
    S.ACTION_REQUIRED: "authorize_payment",
    S.PAYMENT_AUTHORIZED: "reserve_items",
    S.ITEMS_RESERVED: "capture_payment",
    S.RESERVATION_FAILED: "return_payment",
    S.PAYMENT_FAILED: "return_payment",
}


def facts(decision: Decision) -> list[dict[str, Any]]:
    """Return the own fields of every event, and its type."""
    return [
        {"type": event.TYPE} | {k: getattr(event, k) for k in type(event).model_fields if k not in _ENVELOPE}
        for event in decision.events
    ]


def work(decision: Decision) -> list[tuple[str, int, int]]:
    """Return kind, attempt and amount of the unfinished operations."""
    assert decision.order is not None
    return [(o.kind.value, o.attempt, o.amount_minor) for o in decision.order.operations if o.unfinished]


def settle(
    status: Status, kind: OperationKind, money: Attempt, outcome: Outcome, *, under_review: bool = False, **known: Any
) -> Decision:
    """Settle an operation of the only attempt, as the reaction does that opened it."""
    reaction = BY_NAME[OWNER[status]]
    waiting = operation(kind, reaction=reaction.name, **known.pop("waiting", {}))
    reviewed = status if under_review else None
    known |= {"operations": (waiting,), "reviewed": reviewed, "review_reason": "unknown" if under_review else None}
    now = S.MANUAL_REVIEW if under_review else status
    return reaction.settle(order(now, money, **known), waiting, outcome, context())


def after(decision: Decision) -> tuple[Status, Attempt]:
    assert decision.order is not None
    return decision.order.status, decision.order.current


def failure(code: FailureCode, **fields: Any) -> dict[str, Any]:
    return {"failure_code": code, "reason": reason_of(code)} | fields


def pinned() -> dict[str, Any]:
    """Return the goods of an order whose money is being collected."""
    return {"holds": (hold(pinned=True),)}

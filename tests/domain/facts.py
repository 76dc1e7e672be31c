"""What a decision says, without what every event has; and events as they usually are, to say only what differs."""

from typing import Any, Final

from domain.decision import Decision
from domain.failure_codes import FailureCode, reason_of
from tests.domain.builders import RULES, TOTAL, later

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

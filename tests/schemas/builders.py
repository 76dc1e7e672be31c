"""Valid events with defaults, for tests: say only what the test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from schemas import events

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_NAMESPACE = UUID("7d0f5a52-54ce-5b0f-9a55-0c8b52a4a9d1")


def event_id(of: str) -> UUID:
    """Derive an id, always the same of the same words."""
    return uuid5(_NAMESPACE, of)


def _base(event_type: str, overrides: dict[str, Any]) -> dict[str, Any]:
    order_id = overrides.get("order_id", "order-1")
    return {
        "event_id": event_id(f"{event_type} of {order_id}"),
        "occurred_at": AT,
        "order_id": order_id,
        "correlation_id": f"correlation of {order_id}",
        "causation_id": None,
    }


def _own(event_type: str, version: int, overrides: dict[str, Any]) -> dict[str, Any]:
    base = _base(event_type, overrides)
    base["causation_id"] = event_id(f"the cause of {event_type} of {base['order_id']}")
    return base | {"order_version": version, "ordinal": 0, "attempt": 1}


_METHOD = events.PaymentMethod(kind=events.PaymentMethodKind.CARD, token="pm_card_visa")
_LINES = (
    events.Line(sku="SKU-1", quantity=2, unit_price_minor=1_000),
    events.Line(sku="SKU-2", quantity=1, unit_price_minor=550),
)
_ITEMS = (events.Item(sku="SKU-1", quantity=2), events.Item(sku="SKU-2", quantity=1))
_MISSING = (events.MissingItem(sku="SKU-1", requested=2, available=1),)
_MONEY = {"amount_minor": 3_080, "currency": "EUR"}
_PLACES = {"transaction_id": "pi_1", "customer_id": "customer-1"}
_DISPUTE = {"dispute_id": "dp_1", "reason": "fraudulent", "funds_withdrawn": True}


def _reservation(fields: dict[str, Any]) -> UUID:
    return event_id(f"the hold of {fields['order_id']}")


def order_confirmed(**overrides: Any) -> events.OrderConfirmed:
    """30.80 EUR: two lines less a discount, plus fees and tax. total_minor follows the parts unless it is given."""
    fields = _base("OrderConfirmed", overrides) | {
        "customer_id": "customer-1",
        "currency": "EUR",
        "lines": _LINES,
        "discount_minor": 100,
        "delivery_fee_minor": 400,
        "service_fee_minor": 150,
        "tax_minor": 80,
        "payment_method": _METHOD,
    }
    fields |= overrides
    if "total_minor" not in fields:
        lines = (events.Line.model_validate(line) for line in fields["lines"])
        fields["total_minor"] = (
            sum(line.quantity * line.unit_price_minor for line in lines)
            - fields["discount_minor"]
            + fields["delivery_fee_minor"]
            + fields["service_fee_minor"]
            + fields["tax_minor"]
        )
    return events.OrderConfirmed.model_validate(fields)


def payment_retry_requested(**overrides: Any) -> events.PaymentRetryRequested:
    fields = _base("PaymentRetryRequested", overrides) | {"after_attempt": 1, "payment_method": _METHOD}
    return events.PaymentRetryRequested.model_validate(fields | overrides)


def refund_requested(**overrides: Any) -> events.RefundRequested:
    fields = _base("RefundRequested", overrides) | {
        "request_id": "R-1",
        "amount_minor": 1_000,
        "reason": "damaged",
        "lines": (events.Item(sku="SKU-1", quantity=1),),
        "requested_by": "agent-7",
    }
    return events.RefundRequested.model_validate(fields | overrides)


def order_cancel_requested(**overrides: Any) -> events.OrderCancelRequested:
    fields = _base("OrderCancelRequested", overrides) | {
        "request_id": "C-1",
        "reason": "changed my mind",
        "requested_by": "customer-1",
    }
    return events.OrderCancelRequested.model_validate(fields | overrides)


def preparation_started(**overrides: Any) -> events.PreparationStarted:
    return events.PreparationStarted.model_validate(_base("PreparationStarted", overrides) | overrides)


def order_cancelled(**overrides: Any) -> events.OrderCancelled:
    fields = _own("OrderCancelled", 5, overrides) | _MONEY
    fields |= {"customer_id": "customer-1", "request_id": "C-1", "money": events.MoneyState.RETURNED}
    return events.OrderCancelled.model_validate(fields | overrides)


def cancellation_refused(**overrides: Any) -> events.CancellationRefused:
    fields = _own("CancellationRefused", 5, overrides)
    del fields["attempt"]
    fields |= {"customer_id": "customer-1", "request_id": "C-1", "reason": events.CancellationRefusal.TOO_LATE}
    return events.CancellationRefused.model_validate(fields | overrides)


def stock_adjusted(**overrides: Any) -> events.StockAdjusted:
    sku = overrides.get("sku", "SKU-1")
    fields = {
        "event_id": event_id(f"StockAdjusted of {sku}"),
        "occurred_at": AT,
        "correlation_id": f"correlation of {sku}",
        "sku": sku,
        "delta": 5,
        "reason": "a delivery",
    }
    return events.StockAdjusted.model_validate(fields | overrides)


def customer_action_required(**overrides: Any) -> events.CustomerActionRequired:
    fields = _own("CustomerActionRequired", 1, overrides) | _MONEY
    fields |= {
        "customer_id": "customer-1",
        "transaction_id": "pi_1",
        "kind": events.ActionKind.REDIRECT,
        "url": "https://bank.example/confirm/pi_1",
        "expires_at": AT + timedelta(minutes=30),
    }
    return events.CustomerActionRequired.model_validate(fields | overrides)


def payment_authorized(**overrides: Any) -> events.PaymentAuthorized:
    fields = _own("PaymentAuthorized", 2, overrides) | _MONEY
    fields |= {"transaction_id": "pi_1", "captured": False, "livemode": False}
    fields["authorization_expires_at"] = AT + timedelta(days=7)
    return events.PaymentAuthorized.model_validate(fields | overrides)


def items_reserved(**overrides: Any) -> events.ItemsReserved:
    fields = _own("ItemsReserved", 3, overrides)
    fields |= {"reservation_id": _reservation(fields), "lines": _ITEMS, "expires_at": AT + timedelta(minutes=15)}
    return events.ItemsReserved.model_validate(fields | overrides)


def reservation_failed(**overrides: Any) -> events.ReservationFailed:
    fields = _own("ReservationFailed", 3, overrides)
    fields |= {"reason": events.ShortageReason.SHORT, "missing": _MISSING}
    return events.ReservationFailed.model_validate(fields | overrides)


def paid_and_confirmed(**overrides: Any) -> events.PaidAndConfirmed:
    fields = _own("PaidAndConfirmed", 4, overrides) | _MONEY | _PLACES
    fields |= {"reservation_id": _reservation(fields), "lines": _ITEMS, "captured_at": AT, "livemode": False}
    return events.PaidAndConfirmed.model_validate(fields | overrides)


def payment_failed(**overrides: Any) -> events.PaymentFailed:
    fields = _own("PaymentFailed", 2, overrides) | _MONEY
    fields |= {
        "customer_id": "customer-1",
        "stage": events.Stage.AUTHORIZE,
        "failure_code": "card_declined",
        "reason": "Your bank said no.",
        "money": events.MoneyState.NONE,
        "retryable": True,
        "retry_until": AT + timedelta(days=1),
    }
    return events.PaymentFailed.model_validate(fields | overrides)


def payment_voided(**overrides: Any) -> events.PaymentVoided:
    fields = _own("PaymentVoided", 4, overrides) | _MONEY | {"transaction_id": "pi_1"}
    return events.PaymentVoided.model_validate(fields | overrides)


def payment_refunded(**overrides: Any) -> events.PaymentRefunded:
    fields = _own("PaymentRefunded", 4, overrides) | _MONEY | {"transaction_id": "pi_1", "refund_id": "re_1"}
    return events.PaymentRefunded.model_validate(fields | overrides)


def payment_refund_failed(**overrides: Any) -> events.PaymentRefundFailed:
    fields = _own("PaymentRefundFailed", 5, overrides) | _MONEY | {"refund_id": "re_1", "reason": "declined"}
    return events.PaymentRefundFailed.model_validate(fields | overrides)


def refund_refused(**overrides: Any) -> events.RefundRefused:
    fields = _not_of_an_attempt("RefundRefused", overrides)
    fields |= {"customer_id": "customer-1", "reason": events.RefundRefusal.EXCEEDS_KEPT}
    return events.RefundRefused.model_validate(fields | overrides)


def items_restocked(**overrides: Any) -> events.ItemsRestocked:
    fields = _not_of_an_attempt("ItemsRestocked", overrides) | {"lines": _ITEMS}
    return events.ItemsRestocked.model_validate(fields | overrides)


def _not_of_an_attempt(event_type: str, overrides: dict[str, Any]) -> dict[str, Any]:
    fields = _own(event_type, 5, overrides) | {"request_id": "R-1"}
    del fields["attempt"]
    return fields


def payment_disputed(**overrides: Any) -> events.PaymentDisputed:
    fields = _own("PaymentDisputed", 5, overrides) | _MONEY | _PLACES | _DISPUTE
    return events.PaymentDisputed.model_validate(fields | overrides)


def payment_dispute_closed(**overrides: Any) -> events.PaymentDisputeClosed:
    fields = _own("PaymentDisputeClosed", 6, overrides) | _MONEY | _PLACES | _DISPUTE
    return events.PaymentDisputeClosed.model_validate(fields | {"outcome": events.DisputeOutcome.WON} | overrides)


def payment_review_required(**overrides: Any) -> events.PaymentReviewRequired:
    fields = _own("PaymentReviewRequired", 4, overrides) | _MONEY
    fields |= {
        "customer_id": "customer-1",
        "operation": events.ReviewOperation.CAPTURE,
        "reason": "unknown_to_the_end",
        "money": events.ReviewMoney.UNKNOWN,
    }
    return events.PaymentReviewRequired.model_validate(fields | overrides)


def reservation_released(**overrides: Any) -> events.ReservationReleased:
    fields = _own("ReservationReleased", 5, overrides)
    fields["reservation_id"] = _reservation(fields)
    return events.ReservationReleased.model_validate(fields | overrides)


def customer_notification_requested(**overrides: Any) -> events.CustomerNotificationRequested:
    fields = _own("CustomerNotificationRequested", 2, overrides) | _MONEY
    fields |= {
        "ordinal": 1,
        "customer_id": "customer-1",
        "kind": events.NotificationKind.PAYMENT_FAILED,
        "failure_code": "card_declined",
        "reason": "Your bank said no.",
        "money": events.MoneyState.NONE,
        "retryable": True,
        "retry_until": AT + timedelta(days=1),
        "missing": (),
    }
    return events.CustomerNotificationRequested.model_validate(fields | overrides)


def one_of_each() -> tuple[events.Event, ...]:
    """Return one valid event of every type."""
    return (
        order_confirmed(),
        payment_retry_requested(),
        order_cancel_requested(),
        refund_requested(),
        stock_adjusted(),
        customer_action_required(),
        payment_authorized(),
        items_reserved(),
        reservation_failed(),
        paid_and_confirmed(),
        preparation_started(),
        payment_failed(),
        order_cancelled(),
        cancellation_refused(),
        payment_voided(),
        payment_refunded(),
        payment_refund_failed(),
        refund_refused(),
        items_restocked(),
        payment_disputed(),
        payment_dispute_closed(),
        payment_review_required(),
        reservation_released(),
        customer_notification_requested(),
    )

"""PaymentIntents, charges, refunds and lists as Stripe's JSON, and the ledger as ours."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from consumers.adapters.gateway.stripe_currency import from_stripe
from deploy.playbank.bank import Bank, Intent, PaymentMethod, Refund


def intent_json(bank: Bank, intent: Intent, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a PaymentIntent, its charge as an id or expanded."""
    charge: str | dict[str, Any] | None = intent.charge
    if "latest_charge" in expand and intent.charge is not None:
        charge = charge_json(bank, intent)
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount if intent.status == "requires_capture" else 0,
        "amount_received": intent.amount_received,
        "canceled_at": None if intent.canceled_at is None else int(intent.canceled_at),
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": f"{intent.id}_secret_play",
        "confirmation_method": "automatic",
        "created": int(intent.created),
        "currency": intent.currency,
        "customer": None,
        "description": intent.description,
        "last_payment_error": intent.last_payment_error,
        "latest_charge": charge,
        "livemode": False,
        "metadata": intent.metadata,
        "next_action": {"type": "use_stripe_sdk"} if intent.status == "requires_action" else None,
        "payment_method": None if intent.status == "requires_payment_method" else intent.payment_method,
        "payment_method_types": intent.payment_method_types,
        "status": intent.status,
    }


def charge_json(bank: Bank, intent: Intent) -> dict[str, Any]:
    """Return the intent's charge."""
    captured = intent.status == "succeeded"
    refunded = bank.refunded(intent, with_pending=True)
    failed = intent.last_payment_error is not None
    before = None if intent.capture_before is None else int(intent.capture_before)
    return {
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount_received,
        "amount_refunded": refunded,
        "captured": captured,
        "created": int(intent.created),
        "currency": intent.currency,
        "livemode": False,
        "payment_intent": intent.id,
        "payment_method_details": {"type": "card", "card": {"capture_before": before, "funding": "credit"}},
        "refunded": captured and refunded == intent.amount_received,
        "status": "failed" if failed else "succeeded",
    }


def refund_json(bank: Bank, refund: Refund) -> dict[str, Any]:
    """Return a refund."""
    intent = bank.intent(refund.intent)
    assert intent is not None, "a refund has an intent"
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": intent.charge,
        "created": int(refund.created),
        "currency": intent.currency,
        "failure_reason": "unknown" if refund.status == "failed" else None,
        "metadata": refund.metadata,
        "payment_intent": intent.id,
        "reason": refund.reason,
        "status": refund.status,
    }


def method_json(method: PaymentMethod) -> dict[str, Any]:
    """Return a payment method."""
    return {
        "id": method.id,
        "object": "payment_method",
        "created": int(method.created),
        "customer": None,
        "livemode": False,
        "type": "card",
    }


def list_json(url: str, items: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return a page."""
    return {"object": "list", "url": url, "has_more": has_more, "data": list(items)}


def ledger_json(bank: Bank) -> dict[str, Any]:
    """Return the whole ledger in ISO 4217 minor units, newest transaction first; sums by currency."""
    sums: dict[str, dict[str, int]] = {}
    intents = []
    for intent in bank.newest_first():
        currency = intent.currency.upper()
        captured = _minor(intent.amount_received, currency)
        refunded = _minor(bank.refunded(intent, with_pending=False), currency)
        of_currency = sums.setdefault(currency, {"captured_minor": 0, "refunded_minor": 0})
        of_currency["captured_minor"] += captured
        of_currency["refunded_minor"] += refunded
        intents.append(
            {
                "id": intent.id,
                "order_id": intent.metadata.get("order_id"),
                "operation_id": intent.metadata.get("operation_id"),
                "status": intent.status,
                "amount_minor": _minor(intent.amount, currency),
                "amount_captured_minor": captured,
                "amount_refunded_minor": refunded,
                "currency": currency,
                "effects": [
                    {
                        "kind": effect["kind"],
                        "key": effect["key"],
                        "at": datetime.fromtimestamp(effect["at"], UTC).isoformat(),
                        "amount_minor": _minor(effect["amount"], currency),
                    }
                    for effect in intent.effects
                ],
            }
        )
    return {"currency": sums, "payment_intents": intents}


def _minor(amount: int, currency: str) -> int:
    """Convert to ISO minor units. What has none stays as it is: one transaction must not hide all others."""
    try:
        return from_stripe(amount, currency)
    except ValueError:
        return amount

"""PaymentIntents, refunds and lists as Stripe's JSON, and the ledger as ours."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from consumers.adapters.gateway.stripe_currency import from_stripe
from deploy.playbank.bank import ASKS_CUSTOMER, HELD, Bank, Intent, Refund
from deploy.sandbox.render_charge import charge_json
from deploy.sandbox.render_method import method_json

# What Stripe sends with every PaymentIntent, and a card payment of one account never fills.
_EMPTY_OF_INTENT = dict.fromkeys(
    (
        "allowed_payment_method_types",
        "application",
        "application_fee_amount",
        "customer_account",
        "excluded_payment_method_types",
        "on_behalf_of",
        "payment_method_configuration_details",
        "processing",
        "review",
        "setup_future_usage",
        "shipping",
        "transfer_data",
        "transfer_group",
    )
)
_EMPTY_OF_REFUND = dict.fromkeys(
    ("customer", "customer_account", "receipt_number", "source_transfer_reversal", "transfer_reversal")
)


def secret_of(intent: Intent) -> str:
    """Return what lets a customer's browser act on a PaymentIntent."""
    return f"{intent.id}_secret_play"


def intent_json(bank: Bank, intent: Intent, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a PaymentIntent. expand: which of its charge and its payment method are given whole."""
    asked = intent.asked
    charge: str | dict[str, Any] | None = intent.charge
    if "latest_charge" in expand and intent.charge is not None:
        charge = charge_json(bank, intent)
    method: str | dict[str, Any] | None = None if intent.status == "requires_payment_method" else intent.payment_method
    if "payment_method" in expand and intent.payment_method is not None and method is not None:
        method = method_json(bank, intent.payment_method)
    return {
        **_EMPTY_OF_INTENT,
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount if intent.status == HELD else 0,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount_received,
        "automatic_payment_methods": asked.get("automatic_payment_methods"),
        "canceled_at": None if intent.canceled_at is None else int(intent.canceled_at),
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": secret_of(intent),
        "confirmation_method": "automatic",
        "created": int(intent.created),
        "currency": intent.currency,
        "customer": asked.get("customer"),
        "description": intent.description,
        "last_payment_error": intent.last_payment_error,
        "latest_charge": charge,
        "livemode": False,
        "metadata": intent.metadata,
        "next_action": _next_action(intent),
        "payment_method": method,
        "payment_method_options": _method_options(intent),
        "payment_method_types": intent.payment_method_types,
        "receipt_email": asked.get("receipt_email"),
        "statement_descriptor": None,
        "statement_descriptor_suffix": asked.get("statement_descriptor_suffix"),
        "status": intent.status,
    }


def refund_json(bank: Bank, refund: Refund, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a refund. expand: which of its charge and its PaymentIntent are given whole."""
    intent = bank.intent(refund.intent)
    assert intent is not None, "a refund has an intent"
    rendered: dict[str, Any] = {
        **_EMPTY_OF_REFUND,
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": f"txn_{refund.id[3:]}",
        "charge": charge_json(bank, intent) if "charge" in expand else intent.charge,
        "created": int(refund.created),
        "currency": intent.currency,
        "metadata": refund.metadata,
        "payment_intent": intent_json(bank, intent) if "payment_intent" in expand else intent.id,
        "payment_method": intent.payment_method,
        "reason": refund.reason,
        "status": refund.status,
    }
    if intent.method.type == "card":
        reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        rendered["destination_details"] = {"card": reference, "type": "card"}
    if refund.status == "failed":
        rendered |= {"failure_reason": "unknown", "failure_balance_transaction": f"txn_{refund.id[3:]}_failed"}
    elif refund.status == "pending":
        rendered["pending_reason"] = "processing"
    return rendered


def list_json(url: str, items: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return a page."""
    return {"object": "list", "url": url, "has_more": has_more, "data": list(items)}


def ledger_json(bank: Bank) -> dict[str, Any]:
    """Return the whole ledger in ISO 4217 minor units, newest transaction first; sums by currency."""
    sums: dict[str, dict[str, int]] = {}
    intents = []
    for intent in bank.newest_first():
        currency = intent.currency.upper()
        captured = minor(intent.amount_received, currency)
        refunded = minor(bank.refunded(intent, with_pending=False), currency)
        disputes = bank.disputes_of(intent)
        disputed = minor(sum(dispute.withdrawn for dispute in disputes), currency)
        of_currency = sums.setdefault(currency, {"captured_minor": 0, "refunded_minor": 0, "disputed_minor": 0})
        of_currency["captured_minor"] += captured
        of_currency["refunded_minor"] += refunded
        of_currency["disputed_minor"] += disputed
        intents.append(
            {
                "id": intent.id,
                "order_id": intent.metadata.get("order_id"),
                "operation_id": intent.metadata.get("operation_id"),
                "status": intent.status,
                "amount_minor": minor(intent.amount, currency),
                "amount_captured_minor": captured,
                "amount_refunded_minor": refunded,
                "disputed_minor": disputed,
                "currency": currency,
                "effects": [_line(effect, currency, key=effect["key"]) for effect in intent.effects],
                "disputes": [
                    _line(move, currency, dispute=dispute.id) for dispute in disputes for move in dispute.moves
                ],
            }
        )
    return {"currency": sums, "payment_intents": intents}


def _line(moved: Mapping[str, Any], currency: str, **of: str) -> dict[str, Any]:
    """Return one movement of money. of: what moved it."""
    at = datetime.fromtimestamp(moved["at"], UTC).isoformat()
    return {"kind": moved["kind"], **of, "at": at, "amount_minor": minor(moved["amount"], currency)}


def minor(amount: int, currency: str) -> int:
    """Convert to ISO minor units. What has none stays as it is: one transaction must not hide all others."""
    try:
        return from_stripe(amount, currency)
    except ValueError:
        return amount


def _next_action(intent: Intent) -> dict[str, Any] | None:
    """Return where the customer must go: a page if the caller gave a way back from it, else Stripe's own script."""
    if intent.status != ASKS_CUSTOMER:
        return None
    back = intent.asked.get("return_url")
    if back is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    url = intent.asked.get("action_url")
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": back, "url": url}}


def _method_options(intent: Intent) -> dict[str, Any]:
    card: dict[str, Any] = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    }
    if intent.asked.get("card_capture"):
        card["capture_method"] = "manual"
    others = [name for name in intent.payment_method_types if name != "card"]
    return {"card": card, **{name: {} for name in others}}

"""Disputes and early fraud warnings as Stripe's JSON."""

from typing import Any, Final

from deploy.playbank.bank import Bank, Dispute, Intent
from deploy.playbank.disputes import WITHDRAWN
from deploy.sandbox.render import intent_json
from deploy.sandbox.render_charge import charge_json

FEE: Final = 1500  # 15 units of most currencies, as recordings of test mode show it in US dollars
TEXTS: Final = {
    "access_activity_log": 20_000,
    "billing_address": 5000,
    "cancellation_policy_disclosure": 20_000,
    "cancellation_rebuttal": 20_000,
    "customer_email_address": 5000,
    "customer_name": 5000,
    "customer_purchase_ip": 5000,
    "duplicate_charge_explanation": 20_000,
    "duplicate_charge_id": 5000,
    "product_description": 20_000,
    "refund_policy_disclosure": 20_000,
    "refund_refusal_explanation": 20_000,
    "service_date": 5000,
    "shipping_address": 5000,
    "shipping_carrier": 5000,
    "shipping_date": 5000,
    "shipping_tracking_number": 5000,
    "uncategorized_text": 20_000,
}
"""Evidence that is text, with its longest length."""
FILES: Final = (
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)
"""Evidence that is a file, which the sandbox does not have."""
_ELIGIBLE: Final[dict[str, dict[str, Any]]] = {
    "visa_compelling_evidence_3": {
        "required_actions": ["missing_customer_identifiers", "missing_prior_undisputed_transactions"],
        "status": "requires_action",
    },
    "visa_compliance": {"status": "requires_fee_acknowledgement"},
    "mastercard_compliance": {"status": "requires_fee_acknowledgement"},
}


def dispute_json(bank: Bank, dispute: Dispute, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a dispute. expand: which of its charge and its PaymentIntent are given whole."""
    intent = bank.intent(dispute.intent)
    assert intent is not None, "a dispute has an intent"
    eligible = {} if dispute.eligible_for is None else {dispute.eligible_for: _ELIGIBLE[dispute.eligible_for]}
    rendered: dict[str, Any] = {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": _balance(dispute, intent),
        "charge": charge_json(bank, intent) if "charge" in expand else intent.charge,
        "created": int(dispute.created),
        "currency": intent.currency,
        "enhanced_eligibility_types": list(eligible),
        "evidence": {**dict.fromkeys((*TEXTS, *FILES)), **dispute.evidence, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": 0 if dispute.due_by is None else int(dispute.due_by),
            "enhanced_eligibility": eligible,
            "has_evidence": bool(dispute.evidence),
            "past_due": dispute.due_by is not None and bank.now() > dispute.due_by and not dispute.submissions,
            "submission_count": dispute.submissions,
        },
        "is_charge_refundable": dispute.charge_is_refundable,
        "livemode": False,
        "metadata": dispute.metadata,
        "payment_intent": intent_json(bank, intent) if "payment_intent" in expand else intent.id,
        "reason": dispute.reason,
        "status": dispute.status,
    }
    if intent.method.type == "card":
        brand = intent.method.card.brand
        code = {"network_reason_code": dispute.network_reason_code}
        shown = {"brand": brand, "case_type": dispute.case_type, "network": brand, **code}
        rendered["payment_method_details"] = {"card": shown, "type": "card"}
    return rendered


def warning_json(bank: Bank, intent: Intent, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the early fraud warning about a payment. Nothing can be done once all of it is refunded."""
    return {
        "id": warning_id(intent),
        "object": "radar.early_fraud_warning",
        "actionable": bank.left_of(intent) > 0,
        "charge": charge_json(bank, intent) if "charge" in expand else intent.charge,
        "created": int(intent.captured_at or intent.created),
        "fraud_type": "made_with_stolen_card",
        "livemode": False,
        "payment_intent": intent_json(bank, intent) if "payment_intent" in expand else intent.id,
    }


def warning_id(intent: Intent) -> str:
    """Return the id of the early fraud warning about a payment."""
    return f"issfr_{intent.id[3:]}"


def _balance(dispute: Dispute, intent: Intent) -> list[dict[str, Any]]:
    """Return the money moved. The fee for a dispute is taken once, and not given back."""
    rendered = []
    for number, move in enumerate(dispute.moves):
        taken = move["kind"] == WITHDRAWN
        amount, fee = (-move["amount"], FEE) if taken else (move["amount"], 0)
        details = {"amount": fee, "application": None, "currency": intent.currency, "description": "Dispute fee"}
        rendered.append(
            {
                "id": f"txn_{dispute.id[3:]}{number}",
                "object": "balance_transaction",
                "amount": amount,
                "available_on": int(move["at"]),
                "balance_type": "payments",
                "created": int(move["at"]),
                "currency": intent.currency,
                "description": f"Chargeback {'withdrawal' if taken else 'reversal'} for {intent.charge}",
                "exchange_rate": None,
                "fee": fee,
                "fee_details": [{**details, "type": "stripe_fee"}] if fee else [],
                "net": amount - fee,
                "reporting_category": "dispute" if taken else "dispute_reversal",
                "source": dispute.id,
                "status": "available",
                "type": "adjustment",
            }
        )
    return rendered

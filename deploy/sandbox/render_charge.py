"""Charges and payment methods as Stripe's JSON."""

from typing import Any

from deploy.playbank.bank import CANCELED, CAPTURED, Bank, Intent
from deploy.playbank.cards import Card
from deploy.playbank.methods import Method, method_of
from deploy.sandbox.texts import on_statement

_EXPIRES = {"exp_month": 12, "exp_year": 2034}
_NO_CHECKS = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": None}
_NOBODY: dict[str, Any] = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}
# What Stripe sends with every charge, and a card payment of one account never fills.
_EMPTY_OF_CHARGE = dict.fromkeys(
    (
        "application",
        "application_fee",
        "application_fee_amount",
        "failure_balance_transaction",
        "on_behalf_of",
        "receipt_number",
        "review",
        "shipping",
        "source_transfer",
        "statement_descriptor",
        "transfer_data",
        "transfer_group",
    )
)


def charge_json(bank: Bank, intent: Intent) -> dict[str, Any]:
    """Return the intent's charge."""
    assert intent.charge is not None, "only an intent that was confirmed has a charge"
    captured = intent.status == CAPTURED
    refunded = bank.refunded(intent, with_pending=True)
    error = intent.last_payment_error
    released = intent.status == CANCELED and error is None
    asked = intent.asked
    return {
        **_EMPTY_OF_CHARGE,
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount_received,
        "amount_refunded": intent.amount if released else refunded,
        "balance_transaction": f"txn_{intent.id[3:]}" if captured else None,
        "billing_details": _NOBODY,
        "calculated_statement_descriptor": on_statement(asked.get("statement_descriptor_suffix")),
        "captured": captured,
        "created": int(intent.created),
        "currency": intent.currency,
        "customer": asked.get("customer"),
        "description": intent.description,
        "disputed": captured and intent.method.dispute is not None,
        "failure_code": None if error is None else error["code"],
        "failure_message": None if error is None else error["message"],
        "fraud_details": {},
        "livemode": False,
        "metadata": intent.metadata,
        "outcome": _outcome(error),
        "paid": error is None,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "payment_method_details": {"type": "card", "card": _card_of_charge(intent)},
        "receipt_email": asked.get("receipt_email"),
        "receipt_url": None,
        "refunded": released or (captured and refunded == intent.amount_received),
        "statement_descriptor_suffix": asked.get("statement_descriptor_suffix"),
        "status": "succeeded" if error is None else "failed",
    }


def method_json(bank: Bank, method_id: str) -> dict[str, Any]:
    """Return a payment method: one that was made here, or a test method under its own name."""
    made = bank.method(method_id)
    plays = method_of(method_id if made is None else made.behaves_as) or Method()
    card = plays.card
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _NOBODY,
        "card": {
            **_of_card(card),
            "checks": _NO_CHECKS,
            "display_brand": card.brand,
            "generated_from": None,
            "networks": {"available": [card.brand], "preferred": None},
            "three_d_secure_usage": {"supported": card.brand != "amex"},
        },
        "created": int(bank.now() if made is None else made.created),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {} if made is None else made.metadata,
        "type": "card",
    }


def _of_card(card: Card) -> dict[str, Any]:
    return {
        **_EXPIRES,
        "brand": card.brand,
        "country": card.country,
        "fingerprint": f"play{card.brand}{card.last4}",
        "funding": card.funding,
        "last4": card.last4,
        "regulated_status": "unregulated",
        "wallet": None,
    }


def _card_of_charge(intent: Intent) -> dict[str, Any]:
    card = intent.method.card
    rendered: dict[str, Any] = {
        **_of_card(card),
        "amount_authorized": intent.amount,
        "authorization_code": None,
        "checks": _NO_CHECKS,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": intent.amount, "status": "unavailable"},
        "three_d_secure": None,
        "transaction_link_id": None,
    }
    if intent.capture_before is not None:
        rendered["capture_before"] = int(intent.capture_before)
    return rendered


def _outcome(error: dict[str, Any] | None) -> dict[str, Any]:
    if error is None:
        accepted = {"network_status": "approved_by_network", "reason": None, "type": "authorized"}
        return {**_no_advice(), **accepted, "risk_level": "normal", "seller_message": "Payment complete."}
    declined = {"network_status": "declined_by_network", "reason": error.get("decline_code"), "type": "issuer_declined"}
    return {**_no_advice(), **declined, "risk_level": "normal", "seller_message": error["message"]}


def _no_advice() -> dict[str, None]:
    return {"advice_code": None, "network_advice_code": None, "network_decline_code": None}

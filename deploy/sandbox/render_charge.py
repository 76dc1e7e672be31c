"""Charges as Stripe's JSON."""

from typing import Any

from deploy.playbank.bank import CANCELED, CAPTURED, PROCESSING, Bank, Intent
from deploy.sandbox.render_method import NOBODY, details_of_charge
from deploy.sandbox.texts import on_statement

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
    captured, processing = intent.status == CAPTURED, intent.status == PROCESSING
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
        "billing_details": NOBODY,
        "calculated_statement_descriptor": on_statement(asked.get("statement_descriptor_suffix")),
        "captured": captured or processing,
        "created": int(intent.created),
        "currency": intent.currency,
        "customer": asked.get("customer"),
        "description": intent.description,
        "disputed": bool(bank.disputes_of(intent)),
        "failure_code": None if error is None else error["code"],
        "failure_message": None if error is None else error["message"],
        "fraud_details": {},
        "livemode": False,
        "metadata": intent.metadata,
        "outcome": _outcome(error),
        "paid": error is None and not processing,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "payment_method_details": details_of_charge(intent),
        "receipt_email": asked.get("receipt_email"),
        "receipt_url": None,
        "refunded": released or (captured and refunded == intent.amount_received),
        "statement_descriptor_suffix": asked.get("statement_descriptor_suffix"),
        "status": "failed" if error is not None else "pending" if processing else "succeeded",
    }


def intent_of_charge(charge: str) -> str:
    """Return the id of a charge's PaymentIntent, which has the same number."""
    return f"pi_{charge.removeprefix('ch_').removeprefix('py_')}"


def _outcome(error: dict[str, Any] | None) -> dict[str, Any]:
    if error is None:
        accepted = {"network_status": "approved_by_network", "reason": None, "type": "authorized"}
        return {**_no_advice(), **accepted, "risk_level": "normal", "seller_message": "Payment complete."}
    declined = {"network_status": "declined_by_network", "reason": error.get("decline_code"), "type": "issuer_declined"}
    return {**_no_advice(), **declined, "risk_level": "normal", "seller_message": error["message"]}


def _no_advice() -> dict[str, None]:
    return {"advice_code": None, "network_advice_code": None, "network_decline_code": None}

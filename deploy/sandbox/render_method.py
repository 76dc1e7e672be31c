"""Payment methods as Stripe's JSON: by themselves, and as a charge shows them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from deploy.playbank.bank import Bank, Intent
from deploy.playbank.cards import Card
from deploy.playbank.debits import Account
from deploy.playbank.methods import Method, method_of

_EXPIRES = {"exp_month": 12, "exp_year": 2034}
_NO_CHECKS = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": None}
NOBODY: Final[dict[str, Any]] = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}
_IDEAL = {"bank": "rabobank", "bic": "RABONL2U"}


def method_json(bank: Bank, method_id: str) -> dict[str, Any]:
    """Return a payment method: one that was made here, or a test method under its own name."""
    made = bank.method(method_id)
    plays = method_of(method_id if made is None else made.behaves_as) or Method()
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": NOBODY,
        plays.type: _OF_TYPE[plays.type](plays),
        "created": int(bank.now() if made is None else made.created),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {} if made is None else made.metadata,
        "type": plays.type,
    }


def details_of_charge(intent: Intent) -> dict[str, Any]:
    """Return how a charge shows its payment method."""
    plays = intent.method
    shown = _card_of_charge(intent) if plays.type == "card" else _OF_CHARGE[plays.type](plays, intent)
    return {"type": plays.type, plays.type: shown}


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


def _card(plays: Method) -> dict[str, Any]:
    card = plays.card
    return {
        **_of_card(card),
        "checks": _NO_CHECKS,
        "display_brand": card.brand,
        "generated_from": None,
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": card.brand != "amex"},
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


def _of_sepa(account: Account) -> dict[str, Any]:
    return {
        "bank_code": "37040044",
        "branch_code": "",
        "country": account.country,
        "fingerprint": f"playsepa{account.country}{account.last4}",
        "last4": account.last4,
    }


def _of_us(account: Account) -> dict[str, Any]:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "fingerprint": f"playus{account.last4}",
        "last4": account.last4,
        "routing_number": "110000000",
    }


def _us(plays: Method) -> dict[str, Any]:
    more: dict[str, Any] = {"financial_connections_account": None, "status_details": {}}
    return {**_of_us(plays.account), **more, "networks": {"preferred": "ach", "supported": ["ach"]}}


_OF_TYPE: Final[Mapping[str, Callable[[Method], dict[str, Any]]]] = {
    "card": _card,
    "ideal": lambda _: dict(_IDEAL),
    "sepa_debit": lambda plays: _of_sepa(plays.account) | {"generated_from": {"charge": None, "setup_attempt": None}},
    "us_bank_account": _us,
}
_OF_CHARGE: Final[Mapping[str, Callable[[Method, Intent], dict[str, Any]]]] = {
    "ideal": lambda _, intent: {
        **_IDEAL,
        "generated_sepa_debit": None,
        "generated_sepa_debit_mandate": None,
        "iban_last4": None,
        "transaction_id": f"play{intent.id[3:]}",
        "verified_name": None,
    },
    "sepa_debit": lambda plays, intent: _of_sepa(plays.account) | {"mandate": f"mandate_{intent.id[3:]}"},
    "us_bank_account": lambda plays, intent: (
        _of_us(plays.account) | {"mandate": f"mandate_{intent.id[3:]}", "payment_reference": None}
    ),
}

"""Stripe's disputes as ours.

Source: the types of `Dispute` and `BalanceTransaction` in Stripe's SDK 16.1.0.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from consumers.adapters.gateway.stripe_currency import from_stripe
from domain.news import Dispute

CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def read_dispute(dispute: Mapping[str, Any], money: tuple[int, str] | None = None) -> Dispute:
    """Read one. Its transaction is "" if it is of a charge without a PaymentIntent, which is none of ours.

    money: its amount and currency, if they are read already. Raises one of UNREADABLE_ERRORS if it makes no sense.
    """
    amount, currency = money or (from_stripe(dispute["amount"], dispute["currency"]), dispute["currency"].upper())
    return Dispute(
        dispute_id=_text(dispute["id"]),
        transaction_id=id_of(dispute.get("payment_intent")),
        status=_text(dispute["status"]),
        amount_minor=amount,
        currency=currency,
        reason=code_of(dispute.get("reason")),
        funds_withdrawn=_is_withdrawn(dispute),
        refundable=dispute["is_charge_refundable"] is True,
        opened_at=datetime.fromtimestamp(dispute["created"], UTC),
    )


def code_of(word: object) -> str:
    """Return a code of Stripe's, or `unknown` for what is none."""
    return word if isinstance(word, str) and CODE.fullmatch(word) else "unknown"


def id_of(thing: object) -> str:
    """Return the id of an object that Stripe gives as its id, or whole; "" for none."""
    if isinstance(thing, dict):
        thing = thing.get("id")
    return thing if isinstance(thing, str) else ""


def _is_withdrawn(dispute: Mapping[str, Any]) -> bool:
    """Whether more was taken from us than given back.

    Stripe lists one movement, or two. Only their sum's sign counts: they are in the currency of the account. None: no
    money has moved yet, as for an inquiry.
    """
    return bool(sum(movement["amount"] for movement in dispute["balance_transactions"]) < 0)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("no text where Stripe gives one")
    return value

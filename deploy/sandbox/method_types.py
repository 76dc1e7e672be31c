"""Which types of payment methods a PaymentIntent takes, and what Stripe says of a method of another type.

Stripe's words are from its documentation and from errors that others quote in public; where we know no code, there is
none, and the parameter named is our reading.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.playbank.debits import TYPES
from deploy.playbank.intents import Intent
from deploy.playbank.methods import Method
from deploy.sandbox import known, params
from deploy.sandbox.errors import ApiError, invalid, not_played, without_mandate
from deploy.sandbox.params import Form


def offered(form: Form, currency: str, capture_method: str) -> list[str]:
    """Return the types of a new PaymentIntent: those that the form names, else those of the account that fit it."""
    named = {name: value for name, value in form.items() if name.startswith("payment_method_types[")}
    automatic = params.boolean(form, "automatic_payment_methods[enabled]")
    redirects = params.one_of(form, "automatic_payment_methods[allow_redirects]", ("always", "never"))
    if redirects is not None and not automatic:
        raise invalid("allow_redirects needs automatic_payment_methods[enabled]=true.", "automatic_payment_methods")
    if named and automatic:
        raise invalid("Give payment_method_types or automatic_payment_methods, not both.", "payment_method_types")
    for name, value in named.items():
        if value in known.METHOD_TYPES:
            raise not_played(name)
        if value not in TYPES:
            raise invalid(f"Invalid payment_method_types: {value}", "payment_method_types")
        _check_captures(value, capture_method)
        _check_currency(value, currency)
    if named:
        return list(named.values())
    return [
        name
        for name, rules in TYPES.items()
        if (rules.held or capture_method != "manual")
        and (not rules.currencies or currency in rules.currencies)
        and not (rules.redirects and redirects == "never")
    ]


def check_fits(method: Method, types: Sequence[str], currency: str, capture_method: str) -> None:
    """Refuse a payment method whose type the PaymentIntent does not take."""
    if method.type in types:
        return
    _check_captures(method.type, capture_method)
    _check_currency(method.type, currency)
    message = (
        f"The PaymentMethod provided ({method.type}) is not allowed for this PaymentIntent. Give one of these types: "
        f"{', '.join(types)}."
    )
    raise invalid(message, "payment_method")


def check_way_back(method: Method | None, terms: Mapping[str, Any]) -> None:
    """Refuse a confirmation that may send the customer away without a way back."""
    if "return_url" in terms:
        return
    automatic = terms.get("automatic_payment_methods")
    if automatic is not None and automatic["allow_redirects"] != "never":
        message = "Some payment methods send the customer away: give a return_url, or allow_redirects=never."
        raise invalid(message, "return_url")
    if method is not None and method.rules.redirects:
        raise invalid(f"A payment with {method.type} sends the customer away: give a return_url.", "return_url")


def lacks_mandate(intent: Intent, form: Form, rendered: Mapping[str, Any]) -> ApiError | None:
    """Return the refusal of a debit to which nobody has agreed: a browser (its ConfirmationToken) or a saved method.

    rendered: the PaymentIntent.
    """
    agreed = "confirmation_token" in form or "customer" in intent.asked
    return without_mandate(rendered) if intent.method.rules.needs_mandate and not agreed else None


def _check_captures(name: str, capture_method: str) -> None:
    if capture_method == "manual" and not TYPES[name].held:
        message = f"`capture_method=manual` is not supported by payment method type `{name}`."
        raise invalid(message, "capture_method")


def _check_currency(name: str, currency: str) -> None:
    currencies = TYPES[name].currencies
    if currencies and currency not in currencies:
        message = f"The currency provided ({currency}) is invalid for {name}, which has: {', '.join(currencies)}."
        raise invalid(message, "currency")

"""ConfirmationTokens: what a browser hands over in place of a payment method, to be confirmed once.

Made as Stripe's test mode makes them, from a test payment method. A ConfirmationToken has the number of the payment
method that it leads to, so it needs no memory of its own.
"""

from typing import Any, Final

from deploy.playbank.bank import Bank
from deploy.playbank.methods import method_of
from deploy.sandbox import known, params
from deploy.sandbox.errors import invalid, missing
from deploy.sandbox.params import Form
from deploy.sandbox.render_method import method_json

_PREFIX: Final = "ctoken_"
_LASTS_S: Final = 12 * 3600  # Stripe's time for a ConfirmationToken that nobody used


def method_of_token(bank: Bank, token: str, *, status: int = 400) -> str:
    """Return the id of the payment method that a ConfirmationToken leads to."""
    method_id = f"pm_{token.removeprefix(_PREFIX)}"
    if not token.startswith(_PREFIX) or bank.method(method_id) is None:
        raise missing("confirmation_token", token, "confirmation_token", status=status)
    return method_id


def spend(bank: Bank, token: str) -> str:
    """Return the payment method of a ConfirmationToken that may still be confirmed.

    Raises ApiError if it was used, or has expired. Stripe documents both, and no code; the parameter is our reading.
    """
    method_id = method_of_token(bank, token)
    method = bank.method(method_id)
    assert method is not None, "a token leads to a method"
    if method.used:
        raise invalid("This ConfirmationToken was used before: it can be used once.", "confirmation_token")
    if bank.now() >= method.created + _LASTS_S:
        raise invalid("This ConfirmationToken has expired: the customer must give another.", "confirmation_token")
    return method_id


def make_token(bank: Bank, form: Form) -> str:
    """Make a ConfirmationToken; return the id of the payment method that it leads to."""
    params.check_names(form, known.CREATE_TOKEN)
    params.expands(form, ())
    behaves_as = params.text(form, "payment_method") or "pm_card_visa"
    if method_of(behaves_as) is None:
        raise missing("PaymentMethod", behaves_as, "payment_method", status=400)
    return bank.make_method(behaves_as).id


def token_json(bank: Bank, method_id: str) -> dict[str, Any]:
    """Return the ConfirmationToken that leads to a payment method made here."""
    method = method_json(bank, method_id)
    shown = ("billing_details", method["type"], "customer", "customer_account", "type")
    preview = {name: method[name] for name in shown}
    made = bank.method(method_id)
    return {
        "id": f"{_PREFIX}{method_id.removeprefix('pm_')}",
        "object": "confirmation_token",
        "created": method["created"],
        "expires_at": method["created"] + _LASTS_S,
        "livemode": False,
        "mandate_data": None,
        "payment_intent": None if made is None else made.used_by,
        "payment_method_options": None,
        "payment_method_preview": preview,
        "return_url": None,
        "setup_future_usage": None,
        "setup_intent": None,
        "shipping": None,
        "use_stripe_sdk": False,
    }

"""The endpoints that change something. Each validates everything, executes, and returns what changed.

A validation failure is raised, and no key remembers it. The answer of an execution is always remembered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import CURRENCIES, amount_max, amount_min, from_stripe, to_stripe
from deploy.playbank.bank import ASKS_CUSTOMER, Bank, Intent, No, PaymentMethod, Refund
from deploy.playbank.methods import CAPTURE_REFUSED, CardDecline, method_of
from deploy.sandbox import params
from deploy.sandbox.errors import ApiError, conflict, declined, invalid, missing
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, method_json, refund_json

_EXPAND_INTENT = ("latest_charge",)
_CREATE = frozenset(
    [
        "amount",
        "currency",
        "confirm",
        "capture_method",
        "confirmation_method",
        "payment_method",
        "payment_method_types[]",
        "automatic_payment_methods[enabled]",
        "automatic_payment_methods[allow_redirects]",
        "error_on_requires_action",
        "description",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "metadata[*]",
        "expand[]",
    ]
)
_METHOD = frozenset(["type", "card[token]"])
_CAPTURE = frozenset(
    ["amount_to_capture", "statement_descriptor", "statement_descriptor_suffix", "metadata[*]", "expand[]"]
)
_CANCEL = frozenset(["cancellation_reason", "expand[]"])
_REFUND = frozenset(["payment_intent", "amount", "reason", "metadata[*]"])


@dataclass(frozen=True, slots=True)
class Done:
    """The answer of an executed request, and what it changed. `refusal`: the answer, if it is an error."""

    body: dict[str, Any]
    changed: Mapping[str, Intent | Refund | PaymentMethod]
    refusal: ApiError | None = None


def create(bank: Bank, form: Form, key: str) -> Done:
    """Make a PaymentIntent. Confirm it if the form says so."""
    params.check_names(form, _CREATE)
    amount, currency = _money(form)
    confirm = params.boolean(form, "confirm")
    error_on_action = params.boolean(form, "error_on_requires_action")
    if error_on_action and not confirm:
        raise invalid("error_on_requires_action needs confirm=true.", "error_on_requires_action")
    capture_method = params.one_of(form, "capture_method", ("automatic", "automatic_async", "manual"))
    types = _payment_method_types(form)
    token = params.text(form, "payment_method")
    behaves_as, made = _payment_method(bank, token, confirm=confirm)
    expand = params.expands(form, _EXPAND_INTENT)
    intent = bank.make_intent(
        amount,
        currency,
        capture_method or "automatic",
        token,
        behaves_as,
        metadata=params.metadata(form),
        description=params.text(form, "description"),
        payment_method_types=types,
    )
    changed: dict[str, Intent | Refund | PaymentMethod] = {"intent": intent}
    refusal = None
    if confirm:
        refusal = _confirm(bank, intent, key, error_on_action=error_on_action)
        if made is not None:
            made.used = True
            changed["method"] = made
    return Done(intent_json(bank, intent, expand), changed, refusal)


def capture(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Collect an authorized amount, all or part of it; the rest is released."""
    params.check_names(form, _CAPTURE)
    expand = params.expands(form, _EXPAND_INTENT)
    amount = params.positive(form, "amount_to_capture") or intent.amount
    metadata = params.metadata(form)
    refusal = None
    match intent.capture(key, bank.now(), amount):
        case None:
            intent.metadata |= metadata
        case No.TOO_LARGE as no:
            refusal = conflict("You cannot capture more than was authorized.", no, param="amount_to_capture")
        case No.REFUSED:
            refusal = declined(_card_error(CAPTURE_REFUSED, intent), intent_json(bank, intent))
        case no:
            refusal = _unexpected_state(bank, intent, "captured", no)
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def cancel(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give up a PaymentIntent that is not captured."""
    params.check_names(form, _CANCEL)
    expand = params.expands(form, _EXPAND_INTENT)
    reasons = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
    reason = params.one_of(form, "cancellation_reason", reasons)
    no = intent.cancel(key, bank.now(), reason)
    refusal = None if no is None else _unexpected_state(bank, intent, "canceled", no)
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def refund_intent(form: Form) -> str:
    """Return the id of the PaymentIntent to refund."""
    return params.required(form, "payment_intent")


def refund(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give captured money back, all that is left or part of it."""
    params.check_names(form, _REFUND)
    asked = params.positive(form, "amount")
    reason = params.one_of(form, "reason", ("duplicate", "fraudulent", "requested_by_customer"))
    metadata = params.metadata(form)
    left = bank.left_of(intent)
    amount = asked or left
    match bank.refund(intent, key, amount, metadata=metadata, reason=reason):
        case Refund() as made:
            return Done(refund_json(bank, made), {"intent": intent, "refund": made})
        case No.REFUNDED as no:
            refusal = conflict("The charge has already been refunded.", no)
        case No.TOO_LARGE as no:
            message = f"The refund of {amount} is greater than the {left} not yet refunded."
            refusal = conflict(message, no, param="amount")
        case no:
            refusal = _unexpected_state(bank, intent, "refunded", no)
    return Done({}, {"intent": intent}, refusal)


def create_method(bank: Bank, form: Form, _key: str) -> Done:
    """Make a payment method from a test token of Stripe's: `tok_visa` makes one that behaves as `pm_card_visa`."""
    params.check_names(form, _METHOD)
    params.required(form, "type")
    params.one_of(form, "type", ("card",))
    token = params.required(form, "card[token]")
    behaves_as = f"pm_card_{token.removeprefix('tok_')}"
    if not token.startswith("tok_") or method_of(behaves_as) is None:
        raise missing("token", token, "card[token]", status=400)
    method = bank.make_method(behaves_as)
    return Done(method_json(method), {"method": method})


def _payment_method(bank: Bank, token: str | None, *, confirm: bool) -> tuple[str | None, PaymentMethod | None]:
    """Return the test method that this token behaves as, and the method if one was made here (to be used once)."""
    if token is None:
        if confirm:
            raise invalid("A PaymentIntent is confirmed with a payment_method.", "payment_method", "parameter_missing")
        return None, None
    made = bank.method(token)
    if made is None:
        if method_of(token) is None:
            raise missing("PaymentMethod", token, "payment_method", status=400)
        return token, None
    if made.used:
        message = "This PaymentMethod was used before and has no customer: it cannot be used again."
        raise invalid(message, "payment_method")
    return made.behaves_as, made


def _money(form: Form) -> tuple[int, str]:
    amount = params.positive(form, "amount")
    if amount is None:
        raise invalid("Missing required param: amount.", "amount", "parameter_missing")
    currency = params.required(form, "currency").lower()
    if currency.upper() not in CURRENCIES:
        raise invalid(f"Invalid currency: {currency}.", "currency")
    if amount < amount_min(currency):
        raise invalid(f"Amount must be at least {amount_min(currency)} {currency}.", "amount", "amount_too_small")
    if amount > amount_max(currency):
        raise invalid(f"Amount must be no more than {amount_max(currency)}.", "amount", "amount_too_large")
    try:
        whole = to_stripe(from_stripe(amount, currency), currency.upper()) == amount
    except (Refusal, ValueError):
        whole = False
    if not whole:
        raise invalid(f"This amount cannot be charged in {currency}.", "amount", "parameter_invalid_integer")
    return amount, currency


def _payment_method_types(form: Form) -> list[str]:
    types = [value for name, value in form.items() if name.startswith("payment_method_types[")]
    automatic = params.boolean(form, "automatic_payment_methods[enabled]")
    redirects = params.one_of(form, "automatic_payment_methods[allow_redirects]", ("always", "never"))
    if redirects is not None and not automatic:
        raise invalid("allow_redirects needs automatic_payment_methods[enabled]=true.", "automatic_payment_methods")
    if types and automatic:
        raise invalid("Give payment_method_types or automatic_payment_methods, not both.", "payment_method_types")
    for value in types:
        if value != "card":
            raise invalid(f"Invalid payment_method_types: {value}", "payment_method_types")
    return types or ["card"]


def _confirm(bank: Bank, intent: Intent, key: str, *, error_on_action: bool) -> ApiError | None:
    decline = intent.method.decline
    if decline is not None and decline.code == "authentication_required" and not error_on_action:
        intent.status = ASKS_CUSTOMER
        return None
    intent.charge = f"ch_{intent.id[3:]}"
    if intent.confirm(key, bank.now()) is None or decline is None:
        return None
    intent.last_payment_error = _card_error(decline, intent)
    return declined(intent.last_payment_error, intent_json(bank, intent))


def _card_error(decline: CardDecline, intent: Intent) -> dict[str, Any]:
    error = {
        "type": "card_error",
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "charge": intent.charge,
    }
    return error if decline.advice_code is None else {**error, "advice_code": decline.advice_code}


def _unexpected_state(bank: Bank, intent: Intent, wanted: str, no: No) -> ApiError:
    message = f"This PaymentIntent could not be {wanted} because it has a status of {intent.status}."
    return conflict(message, no, intent_json(bank, intent))

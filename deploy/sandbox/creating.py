"""A PaymentIntent is made and confirmed, and goes on once its customer has acted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import CURRENCIES, amount_max, amount_min, from_stripe, to_stripe
from deploy.playbank.bank import (
    ASKS_CUSTOMER,
    DECLINED,
    UNCONFIRMED,
    Bank,
    Dispute,
    Intent,
    No,
    PaymentMethod,
    Refund,
)
from deploy.playbank.methods import method_of
from deploy.sandbox import known, method_types, params
from deploy.sandbox.errors import ApiError, conflict, declined, invalid, missing, not_played
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, secret_of
from deploy.sandbox.texts import DESCRIPTION_MAX, statement_texts
from deploy.sandbox.tokens import spend

Thing = Intent | Refund | PaymentMethod | Dispute
Changed = dict[str, Thing]


@dataclass(frozen=True, slots=True)
class Done:
    """The answer of an executed request, and what it changed. `refusal`: the answer, if it is an error."""

    body: dict[str, Any]
    changed: Mapping[str, Thing]
    refusal: ApiError | None = None


def create(bank: Bank, form: Form, key: str, address: str = "") -> Done:
    """Make a PaymentIntent. Confirm it if the form says so. address: the sandbox's, for the page of 3-D Secure."""
    params.check_names(form, known.CREATE)
    amount, currency = _money(form)
    confirm = params.boolean(form, "confirm")
    _check_needs_confirm(form, confirm=confirm)
    capture_method = params.one_of(form, "capture_method", known.CAPTURE_METHODS) or "automatic_async"
    params.one_of(form, "confirmation_method", ("automatic",), frozenset({"manual"}))
    types = method_types.offered(form, currency, capture_method)
    token = _token(bank, form, params.text(form, "payment_method"))
    behaves_as, made = _payment_method(bank, token, confirm=confirm)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    terms = _terms(form)
    method = method_of(behaves_as or "")
    if method is not None:
        method_types.check_fits(method, types, currency, capture_method)
    if confirm:
        method_types.check_way_back(method, terms)
    intent = bank.make_intent(
        amount,
        currency,
        capture_method,
        token,
        behaves_as,
        metadata=params.metadata(form, may_unset=False),
        description=params.text(form, "description", DESCRIPTION_MAX),
        payment_method_types=types,
        terms=terms,
    )
    changed: Changed = {"intent": intent}
    refusal = _confirm(bank, intent, form, key, address) if confirm else None
    _use(made if confirm else None, intent, changed)
    return Done(intent_json(bank, intent, expand), changed, refusal)


def confirm(bank: Bank, intent: Intent, form: Form, key: str, address: str = "") -> Done:
    """Confirm a PaymentIntent that was made before, with its payment method or another."""
    params.check_names(form, known.CONFIRM)
    _check_needs_confirm(form, confirm=True)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    token = _token(bank, form, params.text(form, "payment_method") or intent.payment_method)
    behaves_as, made = _payment_method(bank, token, confirm=True)
    terms = intent.asked | _terms_of_confirmation(form)
    method = method_of(behaves_as or "")
    if method is not None:
        method_types.check_fits(method, intent.payment_method_types, intent.currency, intent.capture_method)
    method_types.check_way_back(method, terms)
    if intent.status not in {DECLINED, UNCONFIRMED, ASKS_CUSTOMER}:
        return Done({}, {}, unexpected_state(bank, intent, "confirmed", No.UNEXPECTED_STATE))
    intent.payment_method, intent.behaves_as, intent.last_payment_error = token, behaves_as, None
    intent.terms = terms
    refusal = _confirm(bank, intent, form, key, address)
    changed: Changed = {"intent": intent}
    _use(made, intent, changed)
    return Done(intent_json(bank, intent, expand), changed, refusal)


def authenticate(bank: Bank, intent: Intent, *, passed: bool) -> Done:
    """Play the customer of 3-D Secure: they prove who they are, or fail to."""
    key = intent.asked.get("confirmed_under", "")
    no = intent.authenticate(key, bank.now(), passed=passed)
    if isinstance(no, No):
        return Done({}, {}, unexpected_state(bank, intent, "authenticated", no))
    return Done(intent_json(bank, intent), {"intent": intent})


def unexpected_state(bank: Bank, intent: Intent, wanted: str, no: No) -> ApiError:
    """Refuse what the intent's status does not allow."""
    message = f"This PaymentIntent could not be {wanted} because it has a status of {intent.status}."
    return conflict(message, no, intent_json(bank, intent))


def _check_needs_confirm(form: Form, *, confirm: bool) -> None:
    """Refuse what only a confirmation can have."""
    for name, others in (("error_on_requires_action", frozenset[str]()), ("off_session", known.OFF_SESSION_WORDS)):
        if params.boolean(form, name, others) and not confirm:
            raise invalid(f"{name} needs confirm=true.", name)
    if params.text(form, "return_url") is not None:
        if not confirm:
            raise invalid("return_url needs confirm=true.", "return_url")
        if not form["return_url"].startswith(("https://", "http://")):
            raise invalid("Invalid URL: it begins with https:// or http://.", "return_url", "url_invalid")
    if params.boolean(form, "use_stripe_sdk"):
        raise not_played("use_stripe_sdk")


def _terms(form: Form) -> dict[str, Any]:
    """Return what else was asked for, by name. Without types of payment methods Stripe offers those of the account."""
    terms = _terms_of_confirmation(form) | statement_texts(form)
    customer = params.text(form, "customer")
    check_customer(customer)
    if customer is not None:
        terms["customer"] = customer
    given = [name for name in form if name.startswith(("payment_method_types[", "automatic_payment_methods["))]
    if not given or form.get("automatic_payment_methods[enabled]") == "true":
        redirects = form.get("automatic_payment_methods[allow_redirects]", "always")
        terms["automatic_payment_methods"] = {"enabled": True, "allow_redirects": redirects}
    card = "payment_method_options[card]"
    if form.get(f"{card}[capture_method]") and params.one_of(form, f"{card}[capture_method]", ("manual",)):
        terms["card_capture"] = "manual"
    params.one_of(form, f"{card}[request_three_d_secure]", ("automatic",), frozenset({"any", "challenge"}))
    return terms


def _terms_of_confirmation(form: Form) -> dict[str, Any]:
    values = {
        "receipt_email": params.text_or_unset(form, "receipt_email"),
        "return_url": params.text(form, "return_url"),
    }
    return {name: value or None for name, value in values.items() if value is not None}


def check_customer(customer: str | None) -> None:
    """Refuse a customer that does not exist."""
    if customer is not None and not customer.startswith(known.CUSTOMER_PREFIX):
        raise missing("customer", customer, "customer", status=400)


def _token(bank: Bank, form: Form, payment_method: str | None) -> str | None:
    """Return the payment method of a request: its own, or that of its ConfirmationToken."""
    token = params.text(form, "confirmation_token")
    if token is None:
        return payment_method
    if "payment_method" in form:
        raise invalid("Give payment_method or confirmation_token, not both.", "payment_method")
    return spend(bank, token)


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
        message = "This payment method was used before and has no customer: it cannot be used again."
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


def _page_of(intent: Intent, address: str) -> str:
    """Return the address of the customer's page. That of 3-D Secure carries the client's secret, as Stripe's does."""
    page = f"{address}/sandbox/3ds/{intent.id}"
    return f"{page}?payment_intent_client_secret={secret_of(intent)}" if intent.method.type == "card" else page


def _confirm(bank: Bank, intent: Intent, form: Form, key: str, address: str) -> ApiError | None:
    off_session = params.boolean(form, "off_session")
    method = intent.method
    intent.status = UNCONFIRMED
    refusal = method_types.lacks_mandate(intent, form, intent_json(bank, intent))
    if refusal is not None:
        return refusal
    if method.asks_customer and off_session and method.off_session_passes:
        intent.status = ASKS_CUSTOMER
        intent.authenticate(key, bank.now(), passed=True)
        return None
    if method.asks_customer and not off_session and not params.boolean(form, "error_on_requires_action"):
        intent.status = ASKS_CUSTOMER
        action = {"confirmed_under": key, "action_url": _page_of(intent, address)}
        intent.terms = intent.asked | action
        return None
    if intent.confirm(key, bank.now()) is None:
        return None
    assert intent.last_payment_error is not None, "a decline is an error"
    return declined(intent.last_payment_error, intent_json(bank, intent))


def _use(made: PaymentMethod | None, intent: Intent, changed: Changed) -> None:
    """Use up a payment method that was made here, if it is one. A refusal for want of a mandate uses up nothing."""
    if made is not None and intent.status != UNCONFIRMED:
        made.use(intent.id)
        changed["method"] = made

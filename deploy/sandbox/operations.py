"""The endpoints that change something. Each validates everything first, then executes, then says what changed.

Validation failures are raised as errors that no key remembers; from execution on, every answer is remembered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.adapters.gateway.methods import CAPTURE_REFUSED, CardDecline, RefundPath, method_of
from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import CURRENCIES, amount_max, from_stripe, to_stripe
from deploy.sandbox import params
from deploy.sandbox.bank import AUTHORIZATION_TTL_S, Bank, Intent, PaymentMethod, Refund
from deploy.sandbox.errors import ApiError, conflict, declined, invalid, missing
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, method_json, refund_json

ELSEWHERE_KEY = "captured_elsewhere"  # as if somebody had captured in Stripe's dashboard

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
_CANCELABLE = frozenset(
    ["requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing"]
)


@dataclass(frozen=True, slots=True)
class Done:
    """What an executed request answers and changed. `refusal` is a no that came of executing."""

    body: dict[str, Any]
    changed: Mapping[str, Intent | Refund | PaymentMethod]
    refusal: ApiError | None = None


def create(bank: Bank, form: Form, key: str) -> Done:
    """Make a PaymentIntent and, when asked, confirm it."""
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
    number = bank.intents_made()
    intent = Intent(
        id=f"pi_3{bank.born}{number:08d}",
        sequence=number,
        created=bank.now(),
        amount=amount,
        currency=currency,
        capture_method=capture_method or "automatic",
        payment_method=token,
        behaves_as=behaves_as,
        metadata=params.metadata(form),
        status="requires_payment_method" if token is None else "requires_confirmation",
        description=params.text(form, "description"),
        payment_method_types=types,
    )
    bank.put_intent(intent)
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
    if intent.status != "requires_capture":
        refusal = _unexpected_state(bank, intent, "captured")
    elif amount > intent.amount:
        refusal = conflict(
            "You cannot capture more than was authorized.", "amount_too_large", param="amount_to_capture"
        )
    elif intent.method.capture_refused:
        refusal = declined(_card_error(CAPTURE_REFUSED, intent), intent_json(bank, intent))
    else:
        intent.metadata |= metadata
        _take(intent, key, bank.now(), amount)
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def cancel(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give up a PaymentIntent that is not captured."""
    params.check_names(form, _CANCEL)
    expand = params.expands(form, _EXPAND_INTENT)
    reasons = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
    reason = params.one_of(form, "cancellation_reason", reasons)
    if intent.status == "requires_capture" and intent.method.void_finds_captured:
        _take(intent, ELSEWHERE_KEY, bank.now(), intent.amount)
    refusal = None
    if intent.status in _CANCELABLE:
        held = intent.amount if intent.status == "requires_capture" else 0
        intent.status, intent.cancellation_reason, intent.canceled_at = "canceled", reason, bank.now()
        intent.took_effect("cancel", key, bank.now(), held)
    else:
        refusal = _unexpected_state(bank, intent, "canceled")
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def refund_intent(form: Form) -> str:
    """Return which PaymentIntent a refund is asked of."""
    return params.required(form, "payment_intent")


def refund(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give captured money back, all that is left or part of it."""
    params.check_names(form, _REFUND)
    asked = params.positive(form, "amount")
    reason = params.one_of(form, "reason", ("duplicate", "fraudulent", "requested_by_customer"))
    metadata = params.metadata(form)
    left = intent.amount_received - bank.refunded(intent, with_pending=True)
    amount = asked or left
    refusal = None
    if intent.status != "succeeded":
        refusal = _unexpected_state(bank, intent, "refunded")
    elif left == 0:
        refusal = conflict("The charge has already been refunded.", "charge_already_refunded")
    elif amount > left:
        message = f"The refund of {amount} is greater than the {left} not yet refunded."
        refusal = conflict(message, "amount_too_large", param="amount")
    if refusal is not None:
        return Done({}, {"intent": intent}, refusal)
    now, path = bank.now(), intent.method.refund
    made = Refund(
        id=f"re_3{bank.born}{bank.refunds_made():08d}",
        intent=intent.id,
        created=now,
        amount=amount,
        status="pending" if path is RefundPath.PENDING else "succeeded",
        metadata=metadata,
        key=key,
        reason=reason,
        decided_at=None if path is RefundPath.AT_ONCE else now + bank.pending_s,
    )
    bank.put_refund(made)
    if made.status == "succeeded":
        intent.took_effect("refund", key, now, amount)
    return Done(refund_json(bank, made), {"intent": intent, "refund": made})


def create_method(bank: Bank, form: Form, _key: str) -> Done:
    """Make a payment method of one of Stripe's test tokens: `tok_visa` makes one that behaves as `pm_card_visa`."""
    params.check_names(form, _METHOD)
    params.required(form, "type")
    params.one_of(form, "type", ("card",))
    token = params.required(form, "card[token]")
    behaves_as = f"pm_card_{token.removeprefix('tok_')}"
    if not token.startswith("tok_") or method_of(behaves_as) is None:
        raise missing("token", token, "card[token]", status=400)
    method = PaymentMethod(f"pm_1{bank.born}{bank.methods_made():08d}", behaves_as, bank.now())
    bank.put_method(method)
    return Done(method_json(method), {"method": method})


def _payment_method(bank: Bank, token: str | None, *, confirm: bool) -> tuple[str | None, PaymentMethod | None]:
    """Return the test method that this one behaves as, and the method itself when it can be confirmed only once."""
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
    now, method = bank.now(), intent.method
    intent.charge = f"ch_{intent.id[3:]}"
    decline = method.decline
    if decline is not None and decline.code == "authentication_required" and not error_on_action:
        intent.status, intent.charge = "requires_action", None
        return None
    if decline is not None:
        intent.status = "requires_payment_method"
        intent.last_payment_error = _card_error(decline, intent)
        return declined(intent.last_payment_error, intent_json(bank, intent))
    intent.took_effect("authorize", key, now, intent.amount)
    if method.captures_at_once or intent.capture_method != "manual":
        _take(intent, key, now, intent.amount)
    else:
        intent.status = "requires_capture"
        intent.capture_before = now + AUTHORIZATION_TTL_S
    return None


def _take(intent: Intent, key: str, now: float, amount: int) -> None:
    intent.status, intent.amount_received = "succeeded", amount
    intent.took_effect("capture", key, now, amount)


def _card_error(decline: CardDecline, intent: Intent) -> dict[str, Any]:
    error = {
        "type": "card_error",
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "charge": intent.charge,
    }
    return error if decline.advice_code is None else {**error, "advice_code": decline.advice_code}


def _unexpected_state(bank: Bank, intent: Intent, wanted: str) -> ApiError:
    message = f"This PaymentIntent could not be {wanted} because it has a status of {intent.status}."
    return conflict(message, "payment_intent_unexpected_state", intent_json(bank, intent))

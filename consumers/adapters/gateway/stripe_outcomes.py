"""Stripe's answers as our outcomes: pure, so that every row can be tested without a network.

A status that we do not know is unknown: the SDK's types are open. So is an answer in another currency than the call's.
Odd values raise one of UNREADABLE_ERRORS.
"""

from datetime import UTC, datetime
from typing import Final

from consumers.adapters.gateway.stripe_codes import failure_code
from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_fields import Thing, optional_text, part, remark, text, whole
from domain.failure_codes import FailureCode
from domain.operation import GatewayCall
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    GatewayOutcome,
    Lapsed,
    NotFound,
    OtherAmount,
    Pending,
    Undecided,
    Unknown,
)

_CUSTOMER_WAS_ASKED: Final = "payment_intent_authentication_failure"
_NOT_EXECUTED_YET: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def read_authorize(call: GatewayCall, intent: Thing) -> GatewayOutcome:
    """Return the outcome of an authorize operation, by the state of its PaymentIntent.

    Only Stripe's own error makes it a decline. Without one it may still be approved.
    """
    transaction_id, status = text(intent, "id"), text(intent, "status")
    match status:
        case "requires_capture" | "succeeded" if read_currency(call, intent) is not None:
            return OtherAmount(transaction_id, None, captured=status == "succeeded")
        case "requires_capture":
            return _approve_held(transaction_id, intent)
        case "succeeded":
            return _approve_captured(intent)
        case "processing":
            return Pending(transaction_id=transaction_id)
        case "canceled":
            return Lapsed(transaction_id)
        case "requires_action" if call.frozen is not None and call.frozen.return_url is not None:
            return CustomerMustAct(transaction_id, _redirect_url(intent))
        case "requires_action":
            return Undecided(transaction_id, status, asks_customer=True)
        case "requires_confirmation":
            return Undecided(transaction_id, status)
        case "requires_payment_method":
            return _read_last_error(transaction_id, intent)
        case _:
            return _unknown_status(status)


def read_capture(call: GatewayCall, intent: Thing) -> GatewayOutcome:
    """Return the outcome of a capture. The amount is what was captured, by whomever."""
    transaction_id, status = text(intent, "id"), text(intent, "status")
    match status:
        case _ if (other := read_currency(call, intent)) is not None:
            return other
        case "succeeded":
            return _approve_captured(intent)
        case "canceled":
            return Lapsed()
        case "processing":
            return Pending(transaction_id=transaction_id)
        case "requires_capture":
            return NotFound()
        case _:
            return NotFound() if status in _NOT_EXECUTED_YET else _unknown_status(status)


def read_void(call: GatewayCall, intent: Thing) -> GatewayOutcome:
    """Return the outcome of a void."""
    transaction_id, status = text(intent, "id"), text(intent, "status")
    match status:
        case _ if (other := read_currency(call, intent)) is not None:
            return other
        case "canceled":
            return Approved(transaction_id, amount_minor=amount_of(intent, "amount"), livemode=_is_live(intent))
        case "succeeded":
            returned = bool(part(intent, "latest_charge").get("amount_refunded"))
            return AlreadyCaptured(transaction_id, amount_of(intent, "amount_received"), returned)
        case "processing":
            return Pending(transaction_id=transaction_id)
        case "requires_capture":
            return NotFound()
        case _:
            return NotFound() if status in _NOT_EXECUTED_YET else _unknown_status(status)


def read_refund(call: GatewayCall, refund: Thing) -> GatewayOutcome:
    """Return the outcome of a refund. Only its PaymentIntent, not the refund, says whether the money was real."""
    refund_id, status = text(refund, "id"), text(refund, "status")
    match status:
        case _ if (other := read_currency(call, refund)) is not None:
            return other
        case "succeeded":
            return Approved(call.transaction_id, refund_id, amount_of(refund, "amount"))
        case "failed" | "canceled":
            said = _joined(f"refund_{status}", remark(refund, "failure_reason"))
            return Declined(FailureCode.GATEWAY_REFUSED, said, call.transaction_id)
        case "pending" | "requires_action":
            said = _joined(f"refund_{status}", remark(refund, "pending_reason"))
            return Pending(refund_id, call.transaction_id, said)
        case _:
            return _unknown_status(status)


def read_currency(call: GatewayCall, thing: Thing) -> Unknown | None:
    """Return that the answer is in another currency than the call; None if it is in the same."""
    currency = text(thing, "currency").upper()
    if currency == call.currency:
        return None
    return Unknown(f"the answer is in {currency[:3]}, the call was in {call.currency}: look it up there", replayed=True)


def amount_of(thing: Thing, name: str) -> int:
    """Return an amount of an object in ISO minor units of its currency."""
    return from_stripe(whole(thing, name), text(thing, "currency"))


def _approve_held(transaction_id: str, intent: Thing) -> Approved:
    # What can be captured is less than the amount if the issuer approved only a part.
    held = "amount_capturable" if intent.get("amount_capturable") else "amount"
    return Approved(
        transaction_id,
        amount_minor=amount_of(intent, held),
        expires_at=_capture_before(intent),
        livemode=_is_live(intent),
    )


def _approve_captured(intent: Thing) -> Approved | Unknown:
    amount = amount_of(intent, "amount_received")
    if amount == 0:
        return Unknown("captured, and nothing was received", replayed=True)
    return Approved(text(intent, "id"), amount_minor=amount, captured=True, livemode=_is_live(intent))


def _read_last_error(transaction_id: str, intent: Thing) -> GatewayOutcome:
    """Read an intent that lacks a payment method: declined if it has the error, else nobody has decided yet."""
    error = part(intent, "last_payment_error")
    code, decline_code = optional_text(error, "code"), optional_text(error, "decline_code")
    if not code and not decline_code:
        return Undecided(transaction_id, text(intent, "status"))
    if code == _CUSTOMER_WAS_ASKED:
        return Undecided(transaction_id, code, asks_customer=True)
    failure = failure_code(code, decline_code, optional_text(error, "advice_code"))
    return Declined(failure, decline_code or code, transaction_id)


def _redirect_url(intent: Thing) -> str | None:
    """Return where to send the customer; None if it is no plain redirect, or its address carries the client secret."""
    action = part(intent, "next_action")
    if optional_text(action, "type") != "redirect_to_url":
        return None
    url = optional_text(part(action, "redirect_to_url"), "url")
    return None if not url or _holds_secret(url, intent) else url


def _holds_secret(url: str, intent: Thing) -> bool:
    """Whether the address names the client secret, holds it, or holds one of its form (pi_..._secret_...)."""
    secret = optional_text(intent, "client_secret") or "_secret_"
    return "client_secret" in url or "_secret_" in url or secret in url


def _is_live(intent: Thing) -> bool:
    return intent.get("livemode") is True


def _unknown_status(status: str) -> Unknown:
    return Unknown(f"a status that this release does not know: {status}")


def _joined(what: str, reason: str | None) -> str:
    """Return what happened, with Stripe's reason if it gives one."""
    return what if reason is None else f"{what}: {reason}"


def _capture_before(intent: Thing) -> datetime | None:
    card = part(part(part(intent, "latest_charge"), "payment_method_details"), "card")
    seconds = card.get("capture_before")
    try:
        return datetime.fromtimestamp(seconds, UTC) if type(seconds) is int else None
    except (OverflowError, ValueError, OSError):
        return None  # beyond the calendar

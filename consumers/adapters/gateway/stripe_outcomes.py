"""Stripe's answers and errors as our outcomes: pure, so that every row can be tested without a network.

A refusal counts only when Stripe itself gives it, about this very request. What Stripe may have executed is unknown,
and so is a status that we do not know: the SDK's types are open. Not executed is only what was never sent, and what
Stripe says it did not begin.
"""

from datetime import UTC, datetime
from typing import Any

import aiohttp
import stripe

from consumers.adapters.gateway.stripe_codes import (
    ACCOUNT_FAULTS,
    EXPIRED,
    NOT_BEGUN,
    STATE_CONFLICTS,
    failure_code,
    refusal_code,
)
from consumers.adapters.gateway.stripe_currency import from_stripe
from domain.errors import DownForEverybody
from domain.failure_codes import FailureCode
from domain.operation import GatewayCall, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    GatewayOutcome,
    Lapsed,
    NotExecuted,
    NotFound,
    OtherAmount,
    Pending,
    Undecided,
    Unknown,
)

_REFUSED = {
    OperationKind.CAPTURE: FailureCode.CAPTURE_REFUSED,
    OperationKind.VOID: FailureCode.GATEWAY_REFUSED,
    OperationKind.REFUND: FailureCode.GATEWAY_REFUSED,
}
_STRIPES_OWN = frozenset({"api_error", "card_error", "idempotency_error", "invalid_request_error"})
"""Types of Stripe's errors. A proxy between us and Stripe may have others, and none of them is a decline."""
_CUSTOMER_WAS_ASKED = "payment_intent_authentication_failure"
_NOT_EXECUTED_YET = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def read_authorize(call: GatewayCall, intent: stripe.PaymentIntent) -> GatewayOutcome:
    """Return the outcome of an authorize operation, by the state of its PaymentIntent.

    Only Stripe's own error makes it a decline. Without one it may still be approved.
    """
    match intent.status:
        case "requires_capture" | "succeeded" if intent.currency.upper() != call.currency:
            return OtherAmount(intent.id, None, captured=intent.status == "succeeded")
        case "requires_capture":
            # What can be captured is less than the amount if the issuer approved only a part.
            held = getattr(intent, "amount_capturable", None) or intent.amount
            amount = from_stripe(held, intent.currency)
            return Approved(
                intent.id, amount_minor=amount, expires_at=_capture_before(intent), livemode=intent.livemode
            )
        case "succeeded":
            return _approve_captured(intent)
        case "processing":
            return Pending(transaction_id=intent.id)
        case "canceled":
            return Lapsed(intent.id)
        case "requires_action":
            return Undecided(intent.id, intent.status, asks_customer=True)
        case "requires_confirmation":
            return Undecided(intent.id, intent.status)
        case "requires_payment_method":
            return _read_last_error(intent)
        case _:
            return _unknown_status(intent.status)


def read_capture(intent: stripe.PaymentIntent) -> GatewayOutcome:
    """Return the outcome of a capture. The amount is what was captured, by whomever."""
    match intent.status:
        case "succeeded":
            return _approve_captured(intent)
        case "canceled":
            return Lapsed()
        case "processing":
            return Pending(transaction_id=intent.id)
        case "requires_capture":
            return NotFound()
        case status:
            return NotFound() if status in _NOT_EXECUTED_YET else _unknown_status(status)


def read_void(intent: stripe.PaymentIntent) -> GatewayOutcome:
    """Return the outcome of a void."""
    match intent.status:
        case "canceled":
            amount = from_stripe(intent.amount, intent.currency)
            return Approved(intent.id, amount_minor=amount, livemode=intent.livemode)
        case "succeeded":
            return AlreadyCaptured(intent.id, from_stripe(intent.amount_received, intent.currency))
        case "processing":
            return Pending(transaction_id=intent.id)
        case "requires_capture":
            return NotFound()
        case status:
            return NotFound() if status in _NOT_EXECUTED_YET else _unknown_status(status)


def read_refund(call: GatewayCall, refund: stripe.Refund) -> GatewayOutcome:
    """Return the outcome of a refund. Only its PaymentIntent, not the refund, says whether the money was real."""
    match refund.status:
        case "succeeded":
            amount = from_stripe(refund.amount, refund.currency)
            return Approved(call.transaction_id, refund.id, amount)
        case "failed" | "canceled":
            said = _joined(f"refund_{refund.status}", refund, "failure_reason")
            return Declined(FailureCode.GATEWAY_REFUSED, said, call.transaction_id)
        case "pending" | "requires_action":
            return Pending(refund.id, call.transaction_id, _joined(f"refund_{refund.status}", refund, "pending_reason"))
        case status:
            return _unknown_status(status)


def read_refusal(kind: OperationKind, code: str | None, param: str | None) -> Declined | Lapsed:
    """Return the outcome of a request that Stripe refused. An authorization that ran out holds nothing any more."""
    if kind in {OperationKind.CAPTURE, OperationKind.VOID} and code in EXPIRED:
        return Lapsed()
    failure = refusal_code(code, param) if kind is OperationKind.AUTHORIZE else _REFUSED[kind]
    return Declined(failure, code or param)


def is_state_conflict(error: stripe.StripeError) -> bool:
    """Whether we must fetch the PaymentIntent to know what the refusal means."""
    return error.http_status in {400, 402} and details(error).get("code") in STATE_CONFLICTS


def is_missing(error: stripe.StripeError) -> bool:
    """Whether Stripe does not have an object that the request names by its id."""
    return error.http_status in {400, 404} and details(error).get("code") == "resource_missing"


def read_error(kind: OperationKind, error: stripe.StripeError) -> GatewayOutcome:
    """Return the outcome that an error means. Raises DownForEverybody when Stripe refuses our key (401).

    403 is about this kind of call: our key lacks a permission, which Stripe's message names.
    """
    status, said = error.http_status, details(error)
    code = said.get("code")
    if isinstance(error, stripe.APIConnectionError):
        return read_lost_connection(error.__cause__)
    if status == 401:
        raise DownForEverybody("Stripe refuses our key (HTTP 401): check PAYMENTS_STRIPE_API_KEY.")
    if status == 403 and said:
        return NotExecuted(f"HTTP 403: {said.get('message') or code or 'not permitted'}", forbidden=True)
    if code in ACCOUNT_FAULTS:
        return NotExecuted(f"HTTP {status}: {code}: {said.get('message') or ''}".rstrip(": "), forbidden=True)
    if status == 429 or code in NOT_BEGUN:
        return NotExecuted(f"HTTP {status} {code or ''}".strip(), _retry_after(error))
    if isinstance(error, stripe.IdempotencyError):
        return Unknown("this key was used with other parameters", replayed=True)
    if (refused := _read_own_refusal(kind, error, said)) is not None:
        return refused
    if status == 200:
        return Unknown("unreadable answer")
    return Unknown(f"HTTP {status}", replayed=(error.headers or {}).get("Idempotent-Replayed") == "true")


def read_lost_connection(cause: BaseException | None) -> GatewayOutcome:
    """Return the outcome of a request whose connection failed: not executed only if there never was a connection.

    Then every other operation fails as well (`everybody`).
    """
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotExecuted(f"no connection ({type(cause).__name__})", everybody=True)
    return Unknown("time-out" if isinstance(cause, TimeoutError) else f"connection lost ({type(cause).__name__})")


def details(error: stripe.StripeError) -> dict[str, Any]:
    """Return Stripe's error object; empty when the body holds none."""
    body = error.json_body
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, dict) else {}


def _joined(what: str, refund: stripe.Refund, field: str) -> str:
    """Return what happened, with Stripe's reason if it gives one."""
    reason = getattr(refund, field, None)
    return f"{what}: {reason}" if isinstance(reason, str) else what


def _approve_captured(intent: stripe.PaymentIntent) -> Approved | Unknown:
    amount = from_stripe(intent.amount_received, intent.currency)
    if amount == 0:
        return Unknown("captured, and nothing was received", replayed=True)
    return Approved(intent.id, amount_minor=amount, captured=True, livemode=intent.livemode)


def _read_own_refusal(kind: OperationKind, error: stripe.StripeError, said: dict[str, Any]) -> GatewayOutcome | None:
    """Read a refusal, if it is Stripe's own: a wrong address, or a proxy, may answer with the same status."""
    if said.get("type") not in _STRIPES_OWN:
        return None
    if isinstance(error, stripe.CardError):
        return _read_card_error(kind, said)
    if error.http_status == 400 or is_missing(error):
        return read_refusal(kind, said.get("code"), said.get("param"))
    return None


def _read_last_error(intent: stripe.PaymentIntent) -> GatewayOutcome:
    """Read an intent that lacks a payment method: declined if it has the error, else nobody has decided yet."""
    error = intent.last_payment_error
    if not (getattr(error, "code", None) or getattr(error, "decline_code", None)):
        return Undecided(intent.id, intent.status)
    code, decline_code = getattr(error, "code", None), getattr(error, "decline_code", None)
    if code == _CUSTOMER_WAS_ASKED:
        return Undecided(intent.id, code, asks_customer=True)
    failure = failure_code(code, decline_code, getattr(error, "advice_code", None))
    return Declined(failure, decline_code or code, intent.id)


def _unknown_status(status: object) -> Unknown:
    return Unknown(f"a status that this release does not know: {status}")


def _read_card_error(kind: OperationKind, said: dict[str, Any]) -> Declined:
    code, decline_code = said.get("code"), said.get("decline_code")
    if kind is not OperationKind.AUTHORIZE:
        return Declined(_REFUSED[kind], decline_code or code)
    intent = said.get("payment_intent")
    transaction_id = intent.get("id") if isinstance(intent, dict) else None
    failure = failure_code(code, decline_code, said.get("advice_code"))
    return Declined(failure, decline_code or code, transaction_id)


def _retry_after(error: stripe.StripeError) -> float | None:
    said = (error.headers or {}).get("Retry-After", "")
    return float(said) if said.isdecimal() else None


def _capture_before(intent: stripe.PaymentIntent) -> datetime | None:
    charge = intent.latest_charge
    method = getattr(charge, "payment_method_details", None)
    seconds = getattr(getattr(method, "card", None), "capture_before", None)
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None
    except (OverflowError, ValueError, OSError):
        return None  # beyond the calendar

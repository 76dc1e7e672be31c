"""Stripe's errors as our outcomes: pure, so that every row can be tested without a network.

A refusal counts only when Stripe itself gives it, about this very request. What Stripe may have executed is unknown.
Not executed is only what was never sent, and what Stripe says it did not begin.
"""

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
from domain.errors import DownForEverybody
from domain.failure_codes import FailureCode
from domain.operation import OperationKind
from domain.outcome import Declined, GatewayOutcome, Lapsed, NotExecuted, Unknown
from domain.values import replace

_REFUSED = {
    OperationKind.CAPTURE: FailureCode.CAPTURE_REFUSED,
    OperationKind.VOID: FailureCode.GATEWAY_REFUSED,
    OperationKind.REFUND: FailureCode.GATEWAY_REFUSED,
}
_LEFT_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
"""Statuses in which the PaymentIntent of a refused request can still be confirmed."""
_STRIPES_OWN = frozenset({"api_error", "card_error", "idempotency_error", "invalid_request_error"})
"""Types of Stripe's errors. A proxy between us and Stripe may have others, and none of them is a decline."""


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


def _read_own_refusal(kind: OperationKind, error: stripe.StripeError, said: dict[str, Any]) -> GatewayOutcome | None:
    """Read a refusal, if it is Stripe's own: a wrong address, or a proxy, may answer with the same status."""
    if said.get("type") not in _STRIPES_OWN:
        return None
    if isinstance(error, stripe.CardError):
        return _read_card_error(kind, said)
    if error.http_status == 400 or is_missing(error):
        refused = read_refusal(kind, said.get("code"), said.get("param"))
        intent = said.get("payment_intent")
        if kind is OperationKind.AUTHORIZE and isinstance(refused, Declined) and isinstance(intent, dict):
            # It was made, and not confirmed: as for a debit to which nobody has agreed.
            return replace(refused, transaction_id=intent.get("id"), left_open=intent.get("status") in _LEFT_OPEN)
        return refused
    return None


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

"""Refusals in Stripe's JSON shape."""

from collections.abc import Mapping
from typing import Any

import orjson


class ApiError(Exception):
    """One refusal. `stored`: the request was executed, so its idempotency key remembers this answer."""

    def __init__(self, status: int, error: Mapping[str, Any], *, stored: bool) -> None:
        super().__init__(error["message"])
        self.status = status
        self.error = error
        self.stored = stored

    def body(self) -> bytes:
        """Return the JSON that Stripe would send."""
        said = {key: value for key, value in self.error.items() if value is not None}
        if "code" in said:
            said["doc_url"] = f"https://stripe.com/docs/error-codes/{said['code'].replace('_', '-')}"
        return orjson.dumps({"error": said})


def invalid(message: str, param: str | None = None, code: str | None = None, *, status: int = 400) -> ApiError:
    """Refuse a request that never began to execute; no key remembers it."""
    return _refuse(status, "invalid_request_error", message, param=param, code=code)


def not_played(name: str, *, is_param: bool = True) -> ApiError:
    """Refuse what is valid at Stripe and has no effect here. No answer of Stripe's looks like this."""
    message = f"The sandbox does not play {name}: leave it out, or use Stripe's test mode."
    return _refuse(501, "api_error", message, code="not_played", param=name if is_param else None)


def missing(kind: str, reference: str, param: str, *, status: int = 404) -> ApiError:
    """Refuse an id that does not exist here."""
    return invalid(f"No such {kind}: '{reference}'", param, "resource_missing", status=status)


def conflict(message: str, code: str, intent: Mapping[str, Any] | None = None, param: str | None = None) -> ApiError:
    """Refuse a transition that the state of the PaymentIntent does not allow; the key remembers it."""
    return _refuse(400, "invalid_request_error", message, code=code, param=param, payment_intent=intent, stored=True)


def refused(message: str) -> ApiError:
    """Refuse what the state of an object does not allow, where Stripe gives no code; the key remembers it."""
    return _refuse(400, "invalid_request_error", message, stored=True)


def not_refundable(message: str, param: str | None = None) -> ApiError:
    """Refuse a refund for which there is no money; the key remembers it. Stripe gives no code for it."""
    return _refuse(400, "invalid_request_error", message, param=param, stored=True)


def disputed(charge: str | None) -> ApiError:
    """Refuse a refund of money that the customer's bank has taken back; the key remembers it."""
    message = f"Charge {charge} has been charged back; cannot issue a refund."
    return _refuse(400, "invalid_request_error", message, code="charge_disputed", stored=True)


def without_mandate(intent: Mapping[str, Any]) -> ApiError:
    """Refuse a debit to which the customer has not agreed; the key remembers it. Stripe gives no code for it.

    Source: docs.stripe.com/payments/ach-direct-debit, "Disputed payments". intent: the PaymentIntent, not confirmed.
    """
    message = "This PaymentIntent requires a mandate, and there is none: give mandate_data, or a ConfirmationToken."
    return _refuse(400, "invalid_request_error", message, payment_intent=intent, stored=True)


def declined(error: Mapping[str, Any], intent: Mapping[str, Any]) -> ApiError:
    """Refuse because the issuer declined. intent: the PaymentIntent after that."""
    return ApiError(402, {**error, "payment_intent": intent}, stored=True)


def unauthorized(message: str) -> ApiError:
    """Refuse a caller without a key that we know."""
    return _refuse(401, "invalid_request_error", message)


def key_in_use() -> ApiError:
    """Refuse a key whose first request still runs."""
    message = "Another request with this idempotency key is running: wait for it and send the same again."
    return _refuse(409, "idempotency_error", message, code="idempotency_key_in_use")


def key_reused() -> ApiError:
    """Refuse a key that came with other parameters before."""
    message = "Keys belong to the parameters that they were first used with: use another key for another request."
    return _refuse(400, "idempotency_error", message)


def rate_limited() -> ApiError:
    """Refuse for now, with nothing executed."""
    message = "Too many requests at once: slow down and send the same again."
    return _refuse(429, "invalid_request_error", message, code="rate_limit")


def internal() -> ApiError:
    """Answer as Stripe does when something broke on its side; the key remembers it."""
    return _refuse(500, "api_error", "Something went wrong here: look the operation up.", stored=True)


def _refuse(status: int, kind: str, message: str, *, stored: bool = False, **more: Any) -> ApiError:
    return ApiError(status, {"type": kind, "message": message, **more}, stored=stored)

"""The parameters of our requests to Stripe. The same call always gives the same ones, also in a later release.

Stripe refuses a key that comes again with other parameters. So what this release changes in a request is a new format
(domain.operation.REQUEST_FORMAT), and calls of older formats are made as they were, for two releases.
"""

from typing import Final

from stripe.params import PaymentIntentCaptureParams, PaymentIntentCreateParams, RefundCreateParams

from domain.operation import FIRST_FORMAT, REQUEST_FORMAT, Frozen, GatewayCall

FORMATS: Final = range(FIRST_FORMAT, REQUEST_FORMAT + 1)
_NOTHING: Final = Frozen()


def authorize_form(call: GatewayCall, amount: int) -> PaymentIntentCreateParams:
    """Return the parameters of a PaymentIntent that is made and confirmed at once. amount: in Stripe's units."""
    form: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": call.currency.lower(),
        "payment_method": call.token or "",
        "capture_method": "manual",
        "confirm": True,
        "error_on_requires_action": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": _metadata(call),
        "expand": ["latest_charge"],
    }
    frozen = call.frozen or _NOTHING
    if frozen.statement_suffix is not None:
        form["statement_descriptor_suffix"] = frozen.statement_suffix
    if frozen.description is not None:
        form["description"] = frozen.description
    return form


def capture_form(amount: int) -> PaymentIntentCaptureParams:
    """Return the parameters of a capture. No metadata: they would replace the authorize operation's."""
    return {"amount_to_capture": amount}


def refund_form(call: GatewayCall, amount: int) -> RefundCreateParams:
    """Return the parameters of a refund."""
    return {"payment_intent": call.transaction_id or "", "amount": amount, "metadata": _metadata(call)}


def _metadata(call: GatewayCall) -> dict[str, str]:
    return {"order_id": call.order_id, "attempt": str(call.attempt), "operation_id": str(call.operation_id)}

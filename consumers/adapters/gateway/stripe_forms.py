"""The parameters of our requests to Stripe. The same call always gives the same ones, also in a later release.

Stripe refuses a key that comes again with other parameters. So what this release changes in a request is a new format
(domain.operation.REQUEST_FORMAT), and calls of older formats are made as they were, for two releases.
"""

from typing import Final

from stripe.params import PaymentIntentCaptureParams, PaymentIntentCreateParams, RefundCreateParams

from domain.operation import FIRST_FORMAT, REQUEST_FORMAT, Frozen, GatewayCall

FORMATS: Final = range(FIRST_FORMAT, REQUEST_FORMAT + 1)
OF_CONFIRMATIONS: Final = "ctoken_"
"""How the id of a ConfirmationToken begins."""
CONFIRMATION_TOKENS_SINCE: Final = 3
"""The first format in which one is sent as such. Before, every token was sent as a payment method."""
_NOTHING: Final = Frozen()


def authorize_form(call: GatewayCall, amount: int) -> PaymentIntentCreateParams:
    """Return the parameters of a PaymentIntent that is made and confirmed at once. amount: in Stripe's units.

    A customer is sent to their bank only if they can come back: without a return URL Stripe makes it a decline. Cards
    are held, also inside a wallet; what is no card, and may have no manual capture, is captured at once.
    """
    frozen, token = call.frozen or _NOTHING, call.token or ""
    form: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": call.currency.lower(),
        "capture_method": "manual",
        "confirm": True,
        "metadata": _metadata(call),
        "expand": ["latest_charge"],
    }
    if token.startswith(OF_CONFIRMATIONS) and call.request_format >= CONFIRMATION_TOKENS_SINCE:
        form["confirmation_token"] = token
    else:
        form["payment_method"] = token
    if frozen.return_url is None:
        form["error_on_requires_action"] = True
        form["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    else:
        form["return_url"] = frozen.return_url
        form["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "always"}
    if frozen.method_kind is not None:
        form["capture_method"] = "automatic_async"
        form["payment_method_options"] = {"card": {"capture_method": "manual"}}
    _add_what_is_named(form, frozen)
    return form


def _add_what_is_named(form: PaymentIntentCreateParams, frozen: Frozen) -> None:
    if frozen.statement_suffix is not None:
        form["statement_descriptor_suffix"] = frozen.statement_suffix
    if frozen.description is not None:
        form["description"] = frozen.description
    if frozen.customer_id is not None:
        form["customer"] = frozen.customer_id
    if frozen.off_session:
        form["off_session"] = True


def capture_form(amount: int) -> PaymentIntentCaptureParams:
    """Return the parameters of a capture. No metadata: they would replace the authorize operation's."""
    return {"amount_to_capture": amount}


def refund_form(call: GatewayCall, amount: int) -> RefundCreateParams:
    """Return the parameters of a refund."""
    return {"payment_intent": call.transaction_id or "", "amount": amount, "metadata": _metadata(call)}


def _metadata(call: GatewayCall) -> dict[str, str]:
    return {"order_id": call.order_id, "attempt": str(call.attempt), "operation_id": str(call.operation_id)}

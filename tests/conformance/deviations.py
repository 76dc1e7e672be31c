"""Where those who judge are not Stripe, each with its reason. Whatever is not listed here is a fault of ours."""

from typing import Any, Final

LOCALSTRIPE_DROPS: Final = {
    ("/v1/payment_intents", "automatic_payment_methods"): "it refuses the parameter, which Stripe has had since 2022",
    ("/v1/payment_intents", "error_on_requires_action"): "it refuses the parameter",
    ("/v1/payment_intents", "created"): "it refuses the filter on lists; it lists everything that it has",
}
"""Parameters that are left out before localstripe: (path, first part of the name) -> why."""

LOCALSTRIPE_FILLS: Final = {
    "amount_received": "it does not tell how much was captured; a capture in part it tells by a refund of the rest",
    "amount_capturable": "it does not tell how much is held",
}
"""Fields of a PaymentIntent that localstripe leaves out."""

LOCALSTRIPE_DIFFERS: Final = (
    "it knows three test methods: pm_card_visa, pm_card_visa_chargeDeclined, pm_card_chargeCustomerFail",
    "pm_card_visa_chargeDeclined is approved: it declines that card only when it is attached to a customer",
    "a decline has no decline_code, and no PaymentIntent in the error",
    "an idempotency key is not looked at: a replay makes a second intent, so no story sends a key twice",
    "a cancel is not refused after a cancel, nor a capture: no story ends an intent twice",
    "a refund may be larger than what is left, so no story over-refunds",
    "a payment method that does not exist is answered 404 without a code, so that we do not take it for a refusal",
    "lists are oldest first",
    "it has no headers of Stripe's (Request-Id, Stripe-Version)",
    "its store is kept in /tmp/localstripe.pickle on every change; we start it with that switched off",
)
"""What the stories before localstripe do not show, or show in another way."""

MOCK_DIFFERS: Final = (
    "it keeps no state: every answer is a fixture, so outcomes are not looked at, only whether a request is refused",
    "it carries the specification of 2026-08-26.dahlia; our SDK sends 2026-10-28.endive",
    "it does not look at idempotency keys",
)
"""What stripe-mock cannot show."""

SANDBOX_DIFFERS: Final = (
    "not_played (HTTP 501) is an error of the sandbox's own; Stripe never gives it",
    "a decline carries no payment_method, and advice only where recordings of test mode show it",
    "a card is known by the name of its test method; Stripe gives every use of pm_card_visa an id of its own",
)
"""Where the sandbox knowingly is not Stripe."""


def drops_of_localstripe(path: str, root: str) -> bool:
    """Whether a parameter is left out before localstripe. root: the first part of its name."""
    return (path, root) in LOCALSTRIPE_DROPS


def mend_localstripe(body: Any) -> Any:
    """Fill in what localstripe leaves out, from what it says elsewhere in the same answer."""
    for intent in body.get("data", [body]) if isinstance(body, dict) else ():
        if isinstance(intent, dict) and intent.get("object") == "payment_intent":
            charge = intent.get("latest_charge")
            given_back = charge.get("amount_refunded", 0) if isinstance(charge, dict) else 0
            captured = intent["status"] == "succeeded"
            intent.setdefault("amount_received", intent["amount"] - given_back if captured else 0)
            intent.setdefault("amount_capturable", intent["amount"] if intent["status"] == "requires_capture" else 0)
    return body

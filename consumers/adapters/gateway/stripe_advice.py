"""What Stripe advises in the headers of an answer: whether and when to ask again. Pure.

Sources: SDK 16.1.0, `HTTPClient._should_retry`; docs.stripe.com/error-low-level.
"""

from collections.abc import Mapping

import stripe

from domain.outcome import GatewayOutcome, NotExecuted, Unknown
from domain.values import replace


def heed(
    outcome: GatewayOutcome, headers: Mapping[str, str], error: stripe.StripeError | None = None
) -> GatewayOutcome:
    """Return the outcome of a call with what the headers of its answer advise. A definite outcome stays as it is.

    `Stripe-Should-Retry: false`: the key repeats this answer, so only a look-up can help. `true`, with an error of
    Stripe's own: the key may be sent again, even if this answer was a repeated one.
    """
    if isinstance(outcome, Unknown):
        advice = headers.get("Stripe-Should-Retry")
        if advice == "false":
            outcome = replace(outcome, replayed=True)
        elif advice == "true" and error is not None and (error.http_status or 0) >= 500:
            outcome = replace(outcome, replayed=False)
    return pause(outcome, headers)


def pause(outcome: GatewayOutcome, headers: Mapping[str, str]) -> GatewayOutcome:
    """Return the outcome with the pause that `Retry-After` asks for, in seconds, if the question may be repeated."""
    asked = headers.get("Retry-After", "")
    if isinstance(outcome, Unknown | NotExecuted) and asked.isascii() and asked.isdecimal():
        return replace(outcome, retry_after_s=float(asked))
    return outcome

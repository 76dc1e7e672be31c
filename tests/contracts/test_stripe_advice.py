"""Whether and when Stripe wants to be asked again counts where the outcome is open, and nowhere else."""

import pytest
import stripe

from consumers.adapters.gateway.stripe_advice import heed, pause
from domain.failure_codes import FailureCode
from domain.outcome import Approved, Declined, GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.values import replace

SAYS_NO: dict[str, str] = {"Stripe-Should-Retry": "false"}
SAYS_YES: dict[str, str] = {"Stripe-Should-Retry": "true"}


def _failed(status: int) -> stripe.StripeError:
    return stripe.StripeError("m", None, status)


@pytest.mark.parametrize(
    ("outcome", "headers", "status", "heeded"),
    [
        (Unknown("HTTP 500"), SAYS_NO, 500, Unknown("HTTP 500", replayed=True)),
        (Unknown("HTTP 500", replayed=True), SAYS_YES, 500, Unknown("HTTP 500")),
        (Unknown("HTTP 409"), SAYS_YES, 409, Unknown("HTTP 409")),
        (Unknown("other parameters", replayed=True), SAYS_YES, 400, Unknown("other parameters", replayed=True)),
        (Unknown("HTTP 500"), {}, 500, Unknown("HTTP 500")),
        (NotExecuted("HTTP 429"), SAYS_NO, 429, NotExecuted("HTTP 429")),
        (Declined(FailureCode.CARD_DECLINED), SAYS_NO | {"Retry-After": "9"}, 402, Declined(FailureCode.CARD_DECLINED)),
        (Approved("pi_1"), SAYS_NO, 200, Approved("pi_1")),
    ],
)
def test_advice_counts_where_the_outcome_is_open(
    outcome: GatewayOutcome, headers: dict[str, str], status: int, heeded: GatewayOutcome
) -> None:
    assert heed(outcome, headers, _failed(status)) == heeded


@pytest.mark.parametrize(
    ("asked", "pause_s"),
    [
        ("0", 0),
        ("12", 12),
        ("9" * 400, float("inf")),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("\u0663", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_a_pause_is_a_number_of_seconds(asked: str, pause_s: float | None) -> None:
    for outcome in (Unknown("HTTP 503"), NotExecuted("HTTP 429")):
        assert pause(outcome, {"Retry-After": asked}) == replace(outcome, retry_after_s=pause_s)
    assert pause(NotFound(), {"Retry-After": asked}) == NotFound()

"""Our failure codes for Stripe's decline, error and advice codes.

Sources: docs.stripe.com/declines/codes, docs.stripe.com/error-codes. A code that is not listed is an ordinary decline.
"""

from domain.failure_codes import FailureCode, may_retry

_BY_MEANING: dict[FailureCode, str] = {
    FailureCode.INSUFFICIENT_FUNDS: "insufficient_funds withdrawal_count_limit_exceeded",
    FailureCode.CARD_EXPIRED: "expired_card",
    FailureCode.CARD_NOT_SUPPORTED: "card_not_supported transaction_not_allowed not_permitted service_not_allowed",
    FailureCode.CURRENCY_NOT_SUPPORTED: "currency_not_supported",
    FailureCode.INCORRECT_DETAILS: "incorrect_cvc incorrect_number incorrect_zip incorrect_pin incorrect_address "
    "invalid_cvc invalid_number invalid_expiry_month invalid_expiry_year invalid_pin",
    FailureCode.METHOD_INVALID: "testmode_decline test_mode_live_card",
    FailureCode.AUTHENTICATION_REQUIRED: "authentication_required authentication_not_handled "
    "offline_pin_required online_or_offline_pin_required "
    "payment_intent_authentication_failure payment_intent_action_required",
    FailureCode.PROCESSING_ERROR: "processing_error reenter_transaction",
    FailureCode.ISSUER_UNAVAILABLE: "issuer_not_available try_again_later",
    FailureCode.FRAUD_SUSPECTED: "fraudulent merchant_blacklist security_violation",
    FailureCode.CARD_BLOCKED: "lost_card stolen_card pickup_card restricted_card invalid_account stop_payment_order "
    "revocation_of_authorization revocation_of_all_authorizations do_not_try_again",
    FailureCode.AMOUNT_REFUSED: "invalid_amount amount_too_small amount_too_large",
}
_DECLINES = {stripe: ours for ours, codes in _BY_MEANING.items() for stripe in codes.split()}

STATE_CONFLICTS = frozenset(
    {
        "payment_intent_unexpected_state",
        "charge_already_captured",
        "charge_already_refunded",
        "charge_expired_for_capture",
    }
)

_BY_PARAM = {
    "amount": FailureCode.AMOUNT_REFUSED,
    "currency": FailureCode.CURRENCY_NOT_SUPPORTED,
    "payment_method": FailureCode.METHOD_INVALID,
}


class Refusal(Exception):  # noqa: N818 - it becomes the value Declined before it leaves the adapter
    """We refuse the call ourselves, before we send anything."""

    def __init__(self, code: FailureCode, gateway_code: str) -> None:
        super().__init__(gateway_code)
        self.code = code
        self.gateway_code = gateway_code


def failure_code(code: str | None, decline_code: str | None, advice_code: str | None = None) -> FailureCode:
    """Return why a card was declined. Advice whether to try again takes precedence over the decline code."""
    known = _DECLINES.get(decline_code or "") or _DECLINES.get(code or "") or FailureCode.CARD_DECLINED
    if advice_code == "do_not_try_again" and may_retry(known):
        return FailureCode.CARD_BLOCKED
    if advice_code == "try_again_later" and not may_retry(known):
        return FailureCode.ISSUER_UNAVAILABLE
    if advice_code == "confirm_card_data" and not may_retry(known):
        return FailureCode.INCORRECT_DETAILS
    return known


def refusal_code(code: str | None, param: str | None) -> FailureCode:
    """Return why Stripe refused an authorize request as invalid, by the parameter that it names."""
    return _BY_PARAM.get(param or "") or _DECLINES.get(code or "") or FailureCode.GATEWAY_REFUSED

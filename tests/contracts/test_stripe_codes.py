"""Stripe's codes: the table is complete, and what the customer reads agrees with what a retry gets."""

import typing
from collections import Counter
from typing import Any

import pytest
import stripe

from consumers.adapters.gateway import stripe_codes
from consumers.adapters.gateway.stripe_code_table import ROWS, Kind
from consumers.adapters.gateway.stripe_codes import codes_of, failure_code, refusal_code
from domain.failure_codes import FailureCode, may_retry, reason_of

# docs.stripe.com/declines/codes, "Card decline codes", mid 2026
CARD_DECLINES = """
approve_with_id authentication_not_handled authentication_required call_issuer card_not_supported
card_velocity_exceeded currency_not_supported do_not_honor do_not_try_again duplicate_transaction expired_card
fraudulent generic_decline incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip
insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month invalid_expiry_year invalid_number
invalid_pin issuer_not_available lost_card merchant_blacklist mobile_device_authentication_required
new_account_information_available no_action_taken not_permitted offline_pin_required online_or_offline_pin_required
pickup_card pin_try_exceeded processing_error reenter_transaction restricted_card revocation_of_all_authorizations
revocation_of_authorization security_violation service_not_allowed stolen_card stop_payment_order testmode_decline
transaction_not_allowed try_again_later withdrawal_count_limit_exceeded
"""
# The same page, "Local payment method decline codes"
LOCAL_DECLINES = """
compliance_violation currency_not_supported duplicate_transaction expired_card expired_payment_information
insufficient_funds invalid_amount invalid_authorization invalid_billing_agreement invalid_business_account
invalid_customer_account invalid_payment_information partner_generic_decline partner_high_risk_customer
partner_payment_not_found payment_disputed payment_limit_exceeded processing_error recurring_not_supported_by_bank
partner_action_not_supported lost_or_stolen_card card_already_activated invalid_track_data
"""
UNDOCUMENTED = {"test_mode_live_card"}
"""What test mode answers to a real card."""


def literals(annotation: Any) -> set[str]:
    """Return the strings of all Literal types in an annotation of the SDK's, which may be written as a string."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = eval(annotation.__forward_arg__, vars(typing) | {"str": str})
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return {text for part in typing.get_args(annotation) for text in literals(part)}


SDK_CODES = literals(stripe.PaymentIntent.LastPaymentError.__annotations__["code"])
SDK_ADVICE = literals(stripe.Charge.Outcome.__annotations__["advice_code"])
KNOWN = {code: row for row in ROWS for code in row.codes.split()}


def test_the_sources_are_as_long_as_the_table_says() -> None:
    assert (len(SDK_CODES), len(CARD_DECLINES.split()), len(LOCAL_DECLINES.split())) == (209, 50, 23)


def test_every_code_of_the_sdk_and_of_stripes_page_has_a_row_and_no_other_has() -> None:
    wanted = SDK_CODES | {*CARD_DECLINES.split(), *LOCAL_DECLINES.split()} | UNDOCUMENTED

    assert {"without a row": wanted - KNOWN.keys(), "unknown at Stripe": KNOWN.keys() - wanted} == {
        "without a row": set(),
        "unknown at Stripe": set(),
    }


def test_a_code_stands_in_one_row_only() -> None:
    assert [code for code, rows in Counter(c for row in ROWS for c in row.codes.split()).items() if rows > 1] == []


def test_the_codes_of_setups_are_those_of_payments() -> None:
    assert literals(stripe.SetupIntent.LastSetupError.__annotations__["code"]) == SDK_CODES


def test_every_advice_of_the_sdk_is_heeded() -> None:
    told = {advice: failure_code("card_declined", "generic_decline", advice) for advice in SDK_ADVICE}

    assert told == {
        "do_not_try_again": FailureCode.CARD_BLOCKED,
        "confirm_card_data": FailureCode.INCORRECT_DETAILS,
        "try_again_later": FailureCode.CARD_DECLINED,
    }


@pytest.mark.parametrize("advice", [None, *sorted(SDK_ADVICE)])
@pytest.mark.parametrize("code", sorted(code for code, row in KNOWN.items() if row.kind is Kind.DECLINE))
def test_a_decline_speaks_of_the_method_and_not_of_the_order(code: str, advice: str | None) -> None:
    """Only one that the customer may have paid already closes the order."""
    for decline in (failure_code("card_declined", code, advice), failure_code(code, None, advice)):
        assert may_retry(decline) == (code != "duplicate_transaction")


@pytest.mark.parametrize("code", sorted(code for code, row in KNOWN.items() if row.kind is Kind.DECLINE))
def test_a_card_that_is_not_to_be_tried_again_is_not_invited_again(code: str) -> None:
    reason = reason_of(failure_code("card_declined", code, "do_not_try_again"))

    assert "try again" not in reason
    assert "check them" not in reason


@pytest.mark.parametrize("advice", [None, *sorted(SDK_ADVICE)])
@pytest.mark.parametrize(
    "code", ["fraudulent", "merchant_blacklist", "lost_card", "stolen_card", "lost_or_stolen_card", "pickup_card"]
)
def test_no_advice_lets_a_thief_tell_a_stolen_card_from_another(code: str, advice: str | None) -> None:
    assert reason_of(failure_code("card_declined", code, advice)) == reason_of(FailureCode.CARD_DECLINED)


@pytest.mark.parametrize(
    ("code", "decline_code", "expected"),
    [
        ("card_declined", "duplicate_transaction", FailureCode.DUPLICATE_PAYMENT),
        ("card_declined", "mobile_device_authentication_required", FailureCode.AUTHENTICATION_REQUIRED),
        ("authentication_failure", None, FailureCode.AUTHENTICATION_FAILED),
        ("payment_intent_authentication_failure", None, FailureCode.AUTHENTICATION_FAILED),
        ("expired_payment_method", None, FailureCode.CARD_EXPIRED),
        ("incorrect_postal_code", None, FailureCode.INCORRECT_DETAILS),
        ("incorrect_zip", "generic_decline", FailureCode.INCORRECT_DETAILS),
        ("card_declined", "invalid_amount", FailureCode.LIMIT_EXCEEDED),
        ("payment_method_provider_decline", "partner_high_risk_customer", FailureCode.FRAUD_SUSPECTED),
        ("payment_method_provider_decline", "payment_limit_exceeded", FailureCode.LIMIT_EXCEEDED),
        ("payment_method_provider_decline", "invalid_billing_agreement", FailureCode.METHOD_INVALID),
        ("payment_method_provider_decline", "partner_generic_decline", FailureCode.CARD_DECLINED),
        ("payment_method_provider_timeout", None, FailureCode.PROCESSING_ERROR),
        ("card_declined", "no_such_code_yet", FailureCode.CARD_DECLINED),
        ("no_such_code_yet", None, FailureCode.CARD_DECLINED),
        (None, None, FailureCode.CARD_DECLINED),
    ],
)
def test_a_decline_has_the_code_that_helps_the_customer(
    code: str | None, decline_code: str | None, expected: FailureCode
) -> None:
    assert failure_code(code, decline_code) is expected


@pytest.mark.parametrize(
    ("code", "param", "expected"),
    [
        ("amount_too_small", "amount", FailureCode.AMOUNT_TOO_SMALL),
        ("amount_too_large", "amount", FailureCode.AMOUNT_REFUSED),
        ("parameter_invalid_integer", "amount", FailureCode.AMOUNT_REFUSED),
        (None, "currency", FailureCode.CURRENCY_NOT_OFFERED),
        ("payment_method_currency_mismatch", None, FailureCode.CURRENCY_NOT_SUPPORTED),
        ("resource_missing", "payment_method", FailureCode.METHOD_INVALID),
        ("resource_missing", "customer", FailureCode.METHOD_INVALID),
        ("parameter_unknown", "no_such_parameter", FailureCode.GATEWAY_REFUSED),
        ("no_such_code_yet", None, FailureCode.GATEWAY_REFUSED),
        (None, None, FailureCode.GATEWAY_REFUSED),
    ],
)
def test_a_refused_request_has_the_code_that_helps_the_customer(
    code: str | None, param: str | None, expected: FailureCode
) -> None:
    assert refusal_code(code, param) is expected


@pytest.mark.parametrize("code", ["capture_unauthorized_payment", "intent_invalid_state"])
def test_what_speaks_of_another_state_is_fetched_first(code: str) -> None:
    assert code in stripe_codes.STATE_CONFLICTS


@pytest.mark.parametrize("code", ["testmode_charges_only", "capability_not_active", "livemode_mismatch"])
def test_what_is_wrong_for_every_order_is_a_fault_of_the_account(code: str) -> None:
    assert code in codes_of(Kind.ACCOUNT) == stripe_codes.ACCOUNT_FAULTS

"""Every code, error and amount of Stripe's, row by row."""

from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from consumers.adapters.gateway import stripe_errors as errors
from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.stripe_codes import EXPIRED, STATE_CONFLICTS, Refusal
from consumers.adapters.gateway.stripe_currency import CURRENCIES, amount_max, from_stripe, to_stripe
from deploy.playbank.methods import METHODS, Fault, Method, method_of
from domain.errors import DownForEverybody
from domain.failure_codes import FailureCode
from domain.operating import gateway_call
from domain.operation import GATEWAY_KINDS, GatewayCall, OperationKind
from domain.outcome import (
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
from tests.contracts.gateway_worlds import simulated_world
from tests.domain.builders import operation

_NO = FailureCode.GATEWAY_REFUSED


@pytest.mark.parametrize(
    ("currency", "minor", "stripes"),
    [
        ("EUR", 1250, 1250),
        ("JPY", 500, 500),
        ("KWD", 5120, 5120),
        ("ISK", 500, 50_000),
        ("UGX", 500, 50_000),
        ("MGA", 50_000, 500),
    ],
)
def test_amounts_are_converted_by_stripes_table(currency: str, minor: int, stripes: int) -> None:
    assert to_stripe(minor, currency) == stripes
    assert from_stripe(stripes, currency.lower()) == minor


@pytest.mark.parametrize(
    ("currency", "minor", "code"),
    [
        ("KWD", 5124, FailureCode.AMOUNT_REFUSED),
        ("TND", 1, FailureCode.AMOUNT_REFUSED),
        ("MGA", 50_001, FailureCode.AMOUNT_REFUSED),
        ("XAU", 100, FailureCode.CURRENCY_NOT_OFFERED),
        ("IRR", 100, FailureCode.CURRENCY_NOT_OFFERED),
        ("eur", 100, FailureCode.CURRENCY_NOT_OFFERED),
    ],
)
def test_what_stripe_cannot_say_is_refused_at_the_door(currency: str, minor: int, code: FailureCode) -> None:
    with pytest.raises(Refusal) as refused:
        to_stripe(minor, currency)
    assert refused.value.code is code


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(min_value=0, max_value=10**12))
def test_an_amount_comes_back_as_it_went_or_does_not_go(currency: str, minor: int) -> None:
    try:
        assert from_stripe(to_stripe(minor, currency), currency) == minor
    except Refusal:
        assert currency in {"MGA", "BHD", "JOD", "KWD", "OMR", "TND"}


def test_a_fraction_of_a_minor_unit_is_never_rounded() -> None:
    with pytest.raises(ValueError, match="fraction"):
        from_stripe(50, "isk")
    assert amount_max("eur") == 99_999_999
    assert amount_max("IDR") == 999_999_999_999


def _error(status: int, code: str | None = None, **said: Any) -> Any:
    made: Any = stripe  # the SDK's error classes are not typed
    kind = "card_error" if status == 402 else "invalid_request_error" if status in {400, 403, 404} else "api_error"
    error = {"type": kind, "code": code, "message": "m", **said}
    body: dict[str, Any] = {"error": error}
    headers = {"Idempotent-Replayed": "true"} if said.get("replayed") else {}
    if status == 402:
        return made.CardError("m", None, code, None, status, body, headers)
    if status in {400, 404} and said.get("type") == "idempotency_error":
        return made.IdempotencyError("m", None, status, body, headers)
    if status in {400, 404}:
        return made.InvalidRequestError("m", said.get("param"), code, None, status, body, headers)
    return made.APIError("m", None, status, body, headers)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (_error(500), Unknown("HTTP 500")),
        (_error(500, replayed=True), Unknown("HTTP 500", replayed=True)),
        (_error(503), Unknown("HTTP 503")),
        (_error(409, "idempotency_key_in_use"), Unknown("HTTP 409")),
        (_error(424), Unknown("HTTP 424")),
        (_error(200), Unknown("unreadable answer")),
        (_error(429, "rate_limit"), NotExecuted("HTTP 429 rate_limit")),
        (_error(400, "lock_timeout"), NotExecuted("HTTP 400 lock_timeout")),
        (_error(429, "lock_timeout"), NotExecuted("HTTP 429 lock_timeout")),
        (
            _error(400, type="idempotency_error"),
            Unknown("this key was used with other parameters", replayed=True),
        ),
        (
            _error(402, "card_declined", decline_code="lost_card", payment_intent={"id": "pi_1"}),
            Declined(FailureCode.CARD_BLOCKED, "lost_card", "pi_1"),
        ),
        (
            _error(402, "card_declined", decline_code="generic_decline", advice_code="do_not_try_again"),
            Declined(FailureCode.CARD_BLOCKED, "generic_decline"),
        ),
        (_error(400, param="currency"), Declined(FailureCode.CURRENCY_NOT_OFFERED, "currency")),
        (_error(400, "amount_too_small", param="amount"), Declined(FailureCode.AMOUNT_TOO_SMALL, "amount_too_small")),
        (
            _error(404, "resource_missing", param="payment_method"),
            Declined(FailureCode.METHOD_INVALID, "resource_missing"),
        ),
        (_error(400, "parameter_missing", param="x"), Declined(FailureCode.GATEWAY_REFUSED, "parameter_missing")),
        # A request that is wrong for every order is a fault of this release.
        (_error(400, "parameter_unknown", param="x"), NotExecuted("HTTP 400: parameter_unknown: m", forbidden=True)),
    ],
)
def test_an_error_of_an_authorization_means(error: stripe.StripeError, outcome: GatewayOutcome) -> None:
    assert errors.read_error(OperationKind.AUTHORIZE, error) == outcome


@pytest.mark.parametrize("kind", sorted(GATEWAY_KINDS - {OperationKind.AUTHORIZE}))
def test_a_refusal_of_another_operation_is_no_decline_of_a_card(kind: OperationKind) -> None:
    expected = FailureCode.CAPTURE_REFUSED if kind is OperationKind.CAPTURE else FailureCode.GATEWAY_REFUSED
    refused = [_error(400, "balance_insufficient"), _error(402, "balance_insufficient")]
    assert [errors.read_error(kind, error) for error in refused] == [Declined(expected, "balance_insufficient")] * 2


def test_a_refused_key_is_everybodys_trouble() -> None:
    with pytest.raises(DownForEverybody):
        errors.read_error(OperationKind.AUTHORIZE, _error(401))


@pytest.mark.parametrize("kind", sorted(GATEWAY_KINDS))
def test_a_permission_that_our_key_lacks_is_the_trouble_of_this_kind_of_call(kind: OperationKind) -> None:
    lacks = _error(403, message="Having the 'rak_refund_write' permission would allow this request to continue.")
    assert errors.read_error(kind, lacks) == NotExecuted(
        "HTTP 403: Having the 'rak_refund_write' permission would allow this request to continue.", forbidden=True
    )


def test_a_403_that_is_not_stripes_own_leaves_open_what_happened() -> None:
    made: Any = stripe
    theirs = made.PermissionError("m", None, 403, "<html>proxy</html>", {})
    assert errors.read_error(OperationKind.REFUND, theirs) == Unknown("HTTP 403")


@pytest.mark.parametrize("code", sorted(STATE_CONFLICTS))
def test_a_state_conflict_is_decided_by_the_state(code: str) -> None:
    assert errors.is_state_conflict(_error(400, code))
    assert not errors.is_state_conflict(_error(500, code))


@pytest.mark.parametrize("kind", [OperationKind.CAPTURE, OperationKind.VOID])
@pytest.mark.parametrize("code", sorted(EXPIRED))
def test_an_authorization_that_ran_out_is_no_refusal_of_the_bank(kind: OperationKind, code: str) -> None:
    """The state is asked for first. If it still says authorized, Stripe's own word counts: nothing is held."""
    assert errors.is_state_conflict(_error(400, code))
    assert errors.read_refusal(kind, code, None) == Lapsed()


def test_only_what_was_never_sent_is_not_executed() -> None:
    assert isinstance(errors.read_lost_connection(aiohttp.ConnectionTimeoutError()), NotExecuted)
    for lost in (TimeoutError(), aiohttp.ServerDisconnectedError(), ConnectionResetError(), None):
        assert isinstance(errors.read_lost_connection(lost), Unknown)


def _intent(**fields: Any) -> dict[str, Any]:
    values = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 500,
        "currency": "eur",
        "livemode": False,
        "latest_charge": None,
        "last_payment_error": None,
    }
    return values | fields


def test_a_lost_authorization_is_told_by_its_intent() -> None:
    expires = datetime(2026, 5, 11, tzinfo=UTC)
    card = {"capture_before": int(expires.timestamp())}
    charge = {"object": "charge", "payment_method_details": {"type": "card", "card": card}}
    held = _authorized(status="requires_capture", latest_charge=charge)
    declined = _authorized(
        status="requires_payment_method", last_payment_error={"code": "card_declined", "decline_code": "fraudulent"}
    )

    assert getattr(held, "expires_at", None) == expires
    assert declined == Declined(FailureCode.FRAUD_SUSPECTED, "fraudulent", "pi_1")


def _call(kind: OperationKind) -> GatewayCall:
    return gateway_call(operation(kind, amount_minor=500), "pm_1")


def _authorized(**fields: Any) -> GatewayOutcome:
    """Read an intent as the answer to an authorize over 5.00 EUR."""
    return outcomes.read_authorize(_call(OperationKind.AUTHORIZE), _intent(**fields))


def test_without_stripes_own_error_nobody_has_decided() -> None:
    error = {"code": "payment_intent_authentication_failure"}
    assert [
        _authorized(status="requires_payment_method"),
        _authorized(status="requires_confirmation"),
        _authorized(status="requires_action"),
        _authorized(status="requires_payment_method", last_payment_error=error),
    ] == [
        Undecided("pi_1", "requires_payment_method"),
        Undecided("pi_1", "requires_confirmation"),
        Undecided("pi_1", "requires_action", asks_customer=True),
        Undecided("pi_1", "payment_intent_authentication_failure", asks_customer=True),
    ]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, {"message": "Unrecognized request URL", "type": "invalid_request_error"}),
        (404, {"code": "resource_missing", "type": None}),
        (400, {"code": "BAD_REQUEST", "type": "proxy"}),
        (402, {"message": "quota", "type": None}),
    ],
)
@pytest.mark.parametrize("kind", sorted(GATEWAY_KINDS))
def test_what_is_not_stripes_own_refusal_is_no_decline(kind: OperationKind, status: int, said: dict[str, Any]) -> None:
    error = _error(status, said.get("code"), **{name: value for name, value in said.items() if name != "code"})
    assert errors.read_error(kind, error) == Unknown(f"HTTP {status}")


def test_a_capture_of_nothing_is_no_capture() -> None:
    nothing = _intent(status="succeeded", amount_received=0)
    assert isinstance(outcomes.read_capture(_call(OperationKind.CAPTURE), nothing), Unknown)


def test_a_status_that_we_do_not_know_is_unknown_for_every_call() -> None:
    odd, refund = _intent(status="requires_moonlight", amount_received=0), _refund(status="requires_moonlight")
    capture, void, refunding = map(_call, (OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND))
    said = Unknown("a status that this release does not know: requires_moonlight")
    assert _authorized(status="requires_moonlight") == said
    assert outcomes.read_capture(capture, odd) == outcomes.read_void(void, odd) == said
    assert outcomes.read_refund(refunding, refund) == said


@pytest.mark.parametrize("status", ["requires_payment_method", "requires_confirmation", "requires_action"])
def test_what_is_before_an_authorization_is_neither_captured_nor_cancelled(status: str) -> None:
    read = _intent(status=status)
    assert outcomes.read_capture(_call(OperationKind.CAPTURE), read) == NotFound()
    assert outcomes.read_void(_call(OperationKind.VOID), read) == NotFound()


def test_the_amount_of_an_approval_is_what_the_issuer_approved() -> None:
    short = _authorized(status="requires_capture", amount_capturable=100)
    other = _authorized(status="requires_capture", currency="usd")
    taken = _authorized(status="succeeded", currency="usd", amount_received=500)
    assert (short, other) == (Approved("pi_1", amount_minor=100), OtherAmount("pi_1", None))
    assert taken == OtherAmount("pi_1", None, captured=True)


@pytest.mark.parametrize("code", ["testmode_charges_only", "capability_not_active", "livemode_mismatch"])
@pytest.mark.parametrize("status", [400, 402, 403])
@pytest.mark.parametrize("kind", sorted(GATEWAY_KINDS))
def test_what_stripe_says_of_our_account_is_no_decline(kind: OperationKind, status: int, code: str) -> None:
    refused = errors.read_error(kind, _error(status, code))
    assert isinstance(refused, NotExecuted)
    assert refused.forbidden


def _refund(**fields: Any) -> dict[str, Any]:
    return {"id": "re_1", "object": "refund", "amount": 5, "currency": "eur"} | fields


@pytest.mark.parametrize(
    ("status", "reasons", "outcome"),
    [
        ("failed", {"failure_reason": "declined"}, Declined(_NO, "refund_failed: declined", "pi_1")),
        ("canceled", {}, Declined(_NO, "refund_canceled", "pi_1")),
        (
            "pending",
            {"pending_reason": "insufficient_funds"},
            Pending("re_1", "pi_1", "refund_pending: insufficient_funds"),
        ),
        ("pending", {"pending_reason": []}, Pending("re_1", "pi_1", "refund_pending")),
        ("requires_action", {}, Pending("re_1", "pi_1", "refund_requires_action")),
    ],
)
def test_why_a_refund_is_not_through_is_told(status: str, reasons: dict[str, Any], outcome: GatewayOutcome) -> None:
    values = {"id": "re_1", "object": "refund", "amount": 1250, "currency": "eur", "status": status} | reasons
    call = simulated_world().call(OperationKind.REFUND, transaction_id="pi_1")
    assert outcomes.read_refund(call, values) == outcome


@pytest.mark.parametrize("fault", list(Fault))
def test_fault_tokens_say_where_and_how_often(fault: Fault) -> None:
    plain = method_of(f"pm_fault_{fault}")
    full = method_of(f"pm_fault_{fault}_on_void_captured_always")

    assert plain == Method(fault=fault)
    assert full == Method(captures_at_once=True, fault=fault, fault_on=frozenset({OperationKind.VOID}), always=True)
    assert [full.fault_for(OperationKind.VOID, seen) for seen in (0, 5)] == [fault, fault]
    assert full.fault_for(OperationKind.CAPTURE, 0) is None


def test_no_other_token_is_known() -> None:
    for token in ("", "pm_fault_", "pm_fault_html_on_reserve", "pm_fault_html_always_captured", "pm_card_", "pm_1"):
        assert method_of(token) is None
    assert all(method_of(token) is method for token, method in METHODS.items())

"""What a payment says that waits for the customer, or for a bank that takes days."""

from collections.abc import Callable
from typing import Any

import pytest

from consumers.adapters.gateway.stripe_outcomes import read_authorize, read_capture, read_refund, read_void
from domain.failure_codes import FailureCode
from domain.operating import gateway_call
from domain.operation import Frozen, GatewayCall, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    GatewayOutcome,
    Pending,
    Undecided,
    Unknown,
)
from domain.values import replace
from tests.contracts.gateway_worlds import stripe_world
from tests.contracts.own_stripe import intent, own_stripe, said
from tests.domain.builders import operation

K = OperationKind
Read = Callable[[GatewayCall, dict[str, Any]], GatewayOutcome]
RETURN = Frozen(return_url="https://shop.example/orders/order-1")
REDIRECT = "https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct_1&payment_intent=pi_1"


def _call(kind: OperationKind = K.AUTHORIZE, frozen: Frozen | None = RETURN) -> GatewayCall:
    return replace(gateway_call(operation(kind, amount_minor=1250), "pm_1"), frozen=frozen)


def _asking(action: Any, **fields: Any) -> dict[str, Any]:
    return intent(status="requires_action", client_secret="pi_1_secret_9", next_action=action, **fields)


def _redirect(url: Any) -> dict[str, Any]:
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": RETURN.return_url}}


@pytest.mark.parametrize(
    ("action", "url"),
    [
        (_redirect(REDIRECT), REDIRECT),
        (_redirect(f"{REDIRECT}&payment_intent_client_secret=pi_1_secret_9"), None),
        (_redirect(f"{REDIRECT}&secret=pi_1_secret_9"), None),
        (_redirect(f"{REDIRECT}&source_client_secret=src_client_secret_1"), None),
        (_redirect(None), None),
        (_redirect(""), None),
        ({"type": "redirect_to_url", "redirect_to_url": None}, None),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}, None),
        ({"type": "multibanco_display_details"}, None),
        (None, None),
    ],
)
def test_the_customer_is_sent_only_where_no_secret_goes_along(action: Any, url: str | None) -> None:
    assert read_authorize(_call(), _asking(action)) == CustomerMustAct("pi_1", url)


@pytest.mark.parametrize("frozen", [None, Frozen()])
def test_without_a_place_to_come_back_to_the_customer_cannot_be_sent(frozen: Frozen | None) -> None:
    asked = read_authorize(_call(frozen=frozen), _asking(_redirect(REDIRECT)))
    assert asked == Undecided("pi_1", "requires_action", asks_customer=True)


def test_a_customer_who_failed_the_confirmation_is_not_asked_again() -> None:
    failed = intent(
        status="requires_payment_method", last_payment_error={"code": "payment_intent_authentication_failure"}
    )
    asked = Undecided("pi_1", "payment_intent_authentication_failure", asks_customer=True)
    assert read_authorize(_call(), failed) == asked


def test_a_bank_that_takes_days_leaves_the_payment_pending_with_its_id() -> None:
    assert read_authorize(_call(), intent(status="processing")) == Pending(transaction_id="pi_1")


def test_what_is_captured_at_once_is_captured() -> None:
    taken = intent(status="succeeded", amount_received=1250)
    assert read_authorize(_call(), taken) == Approved("pi_1", amount_minor=1250, captured=True)


@pytest.mark.parametrize(
    ("kind", "read", "status"),
    [
        (K.CAPTURE, read_capture, "succeeded"),
        (K.CAPTURE, read_capture, "canceled"),
        (K.VOID, read_void, "canceled"),
        (K.VOID, read_void, "succeeded"),
        (K.REFUND, read_refund, "succeeded"),
        (K.REFUND, read_refund, "failed"),
    ],
)
def test_an_answer_in_another_currency_is_no_answer_to_the_call(kind: OperationKind, read: Read, status: str) -> None:
    found = read(_call(kind), intent(status=status, currency="usd", amount_received=1250))
    assert found == Unknown("the answer is in USD, the call was in EUR: look it up there", replayed=True)


@pytest.mark.parametrize(("refunded", "returned"), [(0, False), (1, True), (1250, True)])
def test_a_void_that_finds_the_payment_captured_says_whether_money_went_back(refunded: int, *, returned: bool) -> None:
    charge = {"id": "ch_1", "amount_refunded": refunded}
    taken = intent(status="succeeded", amount_received=1250, latest_charge=charge)
    assert read_void(_call(K.VOID), taken) == AlreadyCaptured("pi_1", 1250, returned)


async def test_a_payment_whose_id_is_known_is_fetched_by_it() -> None:
    call = _call()
    mine = {"order_id": call.order_id, "attempt": "1", "operation_id": str(call.operation_id)}
    async with own_stripe(said(intent(metadata=mine))) as stripe:
        world = stripe_world(stripe.address)
        assert await world.look_up(replace(call, transaction_id="pi_1")) == Approved("pi_1", amount_minor=1250)
        await world.gateway.close()
    assert [(asked.path, asked.query) for asked in stripe.asked] == [
        ("/v1/payment_intents/pi_1", "expand[0]=latest_charge")
    ]


async def test_a_payment_that_bears_the_id_of_another_operation_is_for_a_person_to_look_at() -> None:
    async with own_stripe(said(intent(metadata={"operation_id": "another"}))) as stripe:
        world = stripe_world(stripe.address)
        found = await world.look_up(replace(_call(), transaction_id="pi_1"))
        await world.gateway.close()
    said_so = "its payment bears the id of another operation: look at its metadata there"
    assert found == Unknown(said_so, replayed=True)


@pytest.mark.parametrize(("status", "left_open"), [("requires_confirmation", True), ("canceled", False)])
async def test_a_refused_request_names_the_payment_that_it_left(status: str, *, left_open: bool) -> None:
    refused = {
        "type": "invalid_request_error",
        "message": "It needs a mandate.",
        "payment_intent": intent(status=status),
    }
    async with own_stripe(said({"error": refused}, 400)) as stripe:
        world = stripe_world(stripe.address)
        found = await world.perform(_call())
        await world.gateway.close()
    assert found == Declined(FailureCode.GATEWAY_REFUSED, None, "pi_1", left_open)

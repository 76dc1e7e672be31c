"""A call is sent again as it was sent before, also by a later release and with other settings."""

from typing import Any

import pytest

from consumers.adapters.gateway.stripe_adapter import NEWER_RELEASE_RETRY_S
from consumers.adapters.gateway.stripe_forms import FORMATS, authorize_form
from domain.failure_codes import MEANINGS, FailureCode
from domain.operation import FIRST_FORMAT, REQUEST_FORMAT, Frozen, GatewayCall
from domain.outcome import Approved, Declined, NotExecuted, Unknown
from domain.values import replace
from tests.contracts.gateway_worlds import World, simulated_world, stripe_world
from tests.contracts.own_stripe import intent, own_stripe, said
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import SandboxProcess


def of_the_first_format(call: GatewayCall) -> dict[str, Any]:
    """Return the parameters as the first release sent them, written out."""
    return {
        "amount": 1250,
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "capture_method": "manual",
        "confirm": True,
        "error_on_requires_action": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": {"order_id": call.order_id, "attempt": "1", "operation_id": str(call.operation_id)},
        "expand": ["latest_charge"],
    }


def of_today(call: GatewayCall) -> dict[str, Any]:
    """Return what every request of this release has, whatever is frozen."""
    return {
        "amount": 1250,
        "currency": "eur",
        "confirm": True,
        "metadata": {"order_id": call.order_id, "attempt": "1", "operation_id": str(call.operation_id)},
        "expand": ["latest_charge"],
    }


HELD: dict[str, Any] = {"capture_method": "manual"}
HELD_IF_A_CARD: dict[str, Any] = {
    "capture_method": "automatic_async",
    "payment_method_options": {"card": {"capture_method": "manual"}},
}
STAYS: dict[str, Any] = {
    "error_on_requires_action": True,
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
}
URL = "https://shop.example/back/order-7"
MAY_LEAVE: dict[str, Any] = {
    "return_url": URL,
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"},
}
TEXTS: dict[str, Any] = {"statement_descriptor_suffix": "ORDER 7", "description": "Order 7"}


@pytest.mark.parametrize("number", FORMATS)
def test_a_card_without_settings_is_in_every_format_what_the_first_release_sent(number: int) -> None:
    call = simulated_world().authorize()
    assert authorize_form(replace(call, request_format=number), 1250) == of_the_first_format(call)


@pytest.mark.parametrize("number", [2, 3])
def test_frozen_texts_are_sent_in_both_formats_that_have_them(number: int) -> None:
    call = replace(simulated_world().authorize(), request_format=number)
    frozen = Frozen(statement_suffix="ORDER 7", description="Order 7")
    assert authorize_form(replace(call, frozen=frozen), 1250) == of_the_first_format(call) | TEXTS
    assert (FORMATS[0], FORMATS[-1]) == (FIRST_FORMAT, REQUEST_FORMAT) == (1, 3)


@pytest.mark.parametrize("number", [1, 2])
def test_in_older_formats_every_token_is_sent_as_a_payment_method(number: int) -> None:
    call = replace(simulated_world().authorize("ctoken_1"), request_format=number)
    assert authorize_form(call, 1250) == of_the_first_format(call) | {"payment_method": "ctoken_1"}


@pytest.mark.parametrize(
    ("token", "frozen", "expected"),
    [
        pytest.param("pm_1", None, {"payment_method": "pm_1"} | HELD | STAYS, id="card"),
        pytest.param("ctoken_1", None, {"confirmation_token": "ctoken_1"} | HELD | STAYS, id="token"),
        pytest.param(
            "pm_1", Frozen(return_url=URL), {"payment_method": "pm_1"} | HELD | MAY_LEAVE, id="card that may be asked"
        ),
        pytest.param(
            "ctoken_1",
            Frozen("ORDER 7", "Order 7", URL),
            {"confirmation_token": "ctoken_1"} | HELD | MAY_LEAVE | TEXTS,
            id="token with all that settings say",
        ),
        pytest.param(
            "pm_1",
            Frozen(customer_id="cus_1", return_url=URL),
            {"payment_method": "pm_1", "customer": "cus_1"} | HELD | MAY_LEAVE,
            id="saved, the customer is there",
        ),
        pytest.param(
            "pm_1",
            Frozen(customer_id="cus_1", off_session=True),
            {"payment_method": "pm_1", "customer": "cus_1", "off_session": True} | HELD | STAYS,
            id="saved, the customer is away",
        ),
        pytest.param(
            "pm_1", Frozen(method_kind="WALLET"), {"payment_method": "pm_1"} | HELD_IF_A_CARD | STAYS, id="wallet"
        ),
        pytest.param(
            "ctoken_1",
            Frozen(method_kind="BANK", return_url=URL),
            {"confirmation_token": "ctoken_1"} | HELD_IF_A_CARD | MAY_LEAVE,
            id="bank",
        ),
        pytest.param(
            "pm_1",
            Frozen(method_kind="OTHER", customer_id="cus_1", off_session=True),
            {"payment_method": "pm_1", "customer": "cus_1", "off_session": True} | HELD_IF_A_CARD | STAYS,
            id="something else, saved, the customer is away",
        ),
    ],
)
def test_what_is_frozen_makes_the_request_of_this_release(
    token: str, frozen: Frozen | None, expected: dict[str, Any]
) -> None:
    call = replace(simulated_world().authorize(token), frozen=frozen)
    assert authorize_form(call, 1250) == of_today(call) | expected


async def test_a_format_of_a_newer_release_is_left_to_it() -> None:
    async with own_stripe(said(intent())) as theirs:
        world = stripe_world(theirs.address)
        outcome = await world.perform(replace(world.authorize(), request_format=REQUEST_FORMAT + 1))
        await world.gateway.close()
    said_so = "its request has format 4: a process of a newer release sends it"
    assert outcome == NotExecuted(said_so, NEWER_RELEASE_RETRY_S, not_asked=True)
    assert theirs.asked == []


@pytest.mark.parametrize(
    ("fields", "amount_capturable", "effects"),
    [
        pytest.param({}, "1250", ["authorize"], id="card"),
        pytest.param({"method_kind": "WALLET"}, "1250", ["authorize"], id="wallet with a card inside"),
        pytest.param({"customer_id": "cus_play_1"}, "1250", ["authorize"], id="saved"),
        pytest.param({"customer_id": "cus_play_1", "off_session": True}, "1250", ["authorize"], id="away"),
        pytest.param({"return_url": URL}, "1250", ["authorize"], id="may be asked"),
        pytest.param({"method_kind": "BANK", "return_url": URL}, "1250", ["authorize"], id="a card called a bank"),
    ],
)
@pytest.mark.parametrize("confirmation", [False, True])
async def test_the_gateway_takes_every_kind_of_request_and_holds_cards(
    sandbox: SandboxProcess, fields: dict[str, Any], amount_capturable: str, effects: list[str], *, confirmation: bool
) -> None:
    world = stripe_world(sandbox.address)
    with client_of(sandbox.address) as client:
        token = confirmation_token(client) if confirmation else "pm_card_visa"
        call = replace(world.authorize(token), frozen=Frozen(**fields) if fields else None)
        transaction_id = await world.approved(call)
        made = client.get(f"/v1/payment_intents/{transaction_id}").body

        assert await world.approved(call) == transaction_id
    assert (made["status"], str(made["amount_capturable"])) == ("requires_capture", amount_capturable)
    assert made["customer"] == fields.get("customer_id")
    entry = await world.entry(call.order_id)
    assert entry is not None
    assert [effect.kind for effect in entry.effects] == effects
    await world.gateway.close()


async def test_a_wallet_that_captures_at_once_is_captured_under_the_capture_of_its_type(
    sandbox: SandboxProcess,
) -> None:
    world = stripe_world(sandbox.address)
    call = replace(world.authorize("pm_wallet_captured"), frozen=Frozen(method_kind="WALLET"))
    outcome = await world.perform(call)
    assert isinstance(outcome, Approved)
    assert outcome.captured
    await world.gateway.close()


async def test_a_confirmation_that_was_used_is_a_method_that_cannot_be_used(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    with client_of(sandbox.address) as client:
        token = confirmation_token(client)
    await world.approved(world.authorize(token))

    for used in (token, "ctoken_expired"):
        outcome = await world.perform(world.authorize(used))
        assert isinstance(outcome, Declined)
        assert (outcome.code, MEANINGS[outcome.code].retryable) == (FailureCode.METHOD_INVALID, True)
    await world.gateway.close()


async def test_a_bank_that_asks_for_a_customer_who_is_away_declines_and_says_so(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    frozen = Frozen(customer_id="cus_play_1", off_session=True)
    for token, expected in (
        ("pm_card_authenticationRequired", FailureCode.AUTHENTICATION_REQUIRED),
        ("pm_card_chargeDeclinedInsufficientFunds", FailureCode.INSUFFICIENT_FUNDS),
    ):
        outcome = await world.perform(replace(world.authorize(token), frozen=frozen))
        assert isinstance(outcome, Declined)
        assert outcome.code is expected
    await world.gateway.close()


def confirmation_token(client: Client) -> str:
    made = client.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_card_visa"})
    return str(made.body["id"])


async def test_a_call_with_other_texts_is_another_request(world: World) -> None:
    call = replace(world.authorize(), frozen=Frozen(statement_suffix="ORDER 7"))
    transaction_id = await world.approved(call)

    assert await world.approved(call) == transaction_id
    for frozen in (None, Frozen(statement_suffix="ORDER 8")):
        other = await world.perform(replace(call, frozen=frozen))
        assert other == Unknown("this key was used with other parameters", replayed=True)


async def test_the_gateway_takes_the_texts(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    frozen = Frozen(statement_suffix="ORDER 7", description="Order 7, \N{LATIN SMALL LETTER E WITH ACUTE}")
    transaction_id = await world.approved(replace(world.authorize(), frozen=frozen))
    with client_of(sandbox.address) as client:
        assert client.get(f"/v1/payment_intents/{transaction_id}").body["description"] == frozen.description
    await world.gateway.close()

"""A call is sent again as it was sent before, also by a later release and with other settings."""

from typing import Any

import pytest

from consumers.adapters.gateway.stripe_forms import FORMATS, authorize_form
from domain.operation import FIRST_FORMAT, REQUEST_FORMAT, Frozen, GatewayCall
from domain.outcome import NotExecuted, Unknown
from domain.values import replace
from tests.contracts.gateway_worlds import World, simulated_world, stripe_world
from tests.contracts.own_stripe import intent, own_stripe, said
from tests.sandbox.client import client_of
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


@pytest.mark.parametrize("number", FORMATS)
def test_without_texts_every_format_is_what_the_first_release_sent(number: int) -> None:
    call = simulated_world().authorize()
    assert authorize_form(replace(call, request_format=number), 1250) == of_the_first_format(call)


def test_frozen_texts_are_sent() -> None:
    call = simulated_world().authorize()
    frozen = Frozen(statement_suffix="ORDER 7", description="Order 7")
    assert authorize_form(replace(call, frozen=frozen), 1250) == of_the_first_format(call) | {
        "statement_descriptor_suffix": "ORDER 7",
        "description": "Order 7",
    }
    assert (FORMATS[0], FORMATS[-1]) == (FIRST_FORMAT, REQUEST_FORMAT)


async def test_a_format_of_a_newer_release_is_left_to_it() -> None:
    async with own_stripe(said(intent())) as theirs:
        world = stripe_world(theirs.address)
        outcome = await world.perform(replace(world.authorize(), request_format=REQUEST_FORMAT + 1))
        await world.gateway.close()
    assert isinstance(outcome, NotExecuted)
    assert "newer release" in outcome.detail
    assert theirs.asked == []


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

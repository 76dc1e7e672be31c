"""The adapter looks before it believes a refusal: at the refunds of others, and at transactions that are not there."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.errors import DownForEverybody
from domain.failure_codes import FailureCode
from domain.operation import GatewayCall, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    GatewayOutcome,
    Lapsed,
    NotFound,
    Pending,
    ReturnedElsewhere,
    TransactionMissing,
)
from domain.pending import AT_OTHERS
from domain.values import replace
from tests.contracts.account import PAID, Account, named, world_at
from tests.contracts.gateway_worlds import World

K = OperationKind


@pytest.fixture
def account() -> Account:
    return Account()


@pytest_asyncio.fixture
async def world(account: Account) -> AsyncIterator[World]:
    async with world_at(account) as made:
        yield made


def _call(world: World, kind: OperationKind, amount_minor: int = PAID) -> GatewayCall:
    return world.follow_up(world.authorize(), kind, "pi_1", amount_minor)


async def test_what_somebody_refunded_whole_is_back(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    account.add_refund(PAID)

    assert await world.perform(_call(world, K.REFUND)) == ReturnedElsewhere(PAID, "re_0")


async def test_what_somebody_refunded_in_part_is_back_in_part(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    account.add_refund(200)
    account.add_refund(50)
    account.add_refund(70, "failed")

    assert await world.perform(_call(world, K.REFUND)) == ReturnedElsewhere(250, "re_1")


async def test_what_somebody_refunds_is_back_only_when_it_has_succeeded(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    account.add_refund(200)
    account.add_refund(50, "pending")
    call = _call(world, K.REFUND)
    waiting = Pending(transaction_id="pi_1", detail=AT_OTHERS)
    assert (await world.perform(call), await world.look_up(call)) == (waiting, waiting)

    account.refunds[0]["status"] = "succeeded"
    assert await world.look_up(call) == ReturnedElsewhere(250, "re_1")

    account.refunds[0]["status"] = "failed"
    assert await world.look_up(call) == ReturnedElsewhere(200, "re_0")


async def test_a_refusal_that_nobodys_refund_explains_is_a_refusal(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    account.add_refund(200, "failed")

    refused = await world.perform(_call(world, K.REFUND))

    assert isinstance(refused, Declined)
    assert refused.code is FailureCode.GATEWAY_REFUSED


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (K.CAPTURE, "canceled", Lapsed()),
        (K.CAPTURE, "succeeded", Approved("pi_1", amount_minor=PAID, captured=True)),
        (K.VOID, "succeeded", AlreadyCaptured("pi_1", PAID)),
        (K.VOID, "canceled", Approved("pi_1", amount_minor=PAID)),
    ],
)
async def test_what_somebody_did_in_the_dashboard_counts(
    account: Account, world: World, kind: OperationKind, status: str, expected: GatewayOutcome
) -> None:
    account.add("pi_1", status)

    assert await world.perform(_call(world, kind)) == expected


async def test_what_somebody_captured_in_part_has_that_amount(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded", amount_received=100)

    found = await world.perform(_call(world, K.CAPTURE))

    assert found == Approved("pi_1", amount_minor=100, captured=True)


@pytest.mark.parametrize("kind", [K.CAPTURE, K.VOID, K.REFUND])
async def test_one_transaction_that_is_missing_is_told_from_a_wrong_account(
    account: Account, world: World, kind: OperationKind
) -> None:
    call = _call(world, kind)
    account.add("pi_7", "succeeded", metadata={"other": "shop"})
    with pytest.raises(DownForEverybody, match="PAYMENTS_STRIPE_API_KEY"):
        await world.perform(call)
    with pytest.raises(DownForEverybody):
        await world.look_up(call)

    account.add("pi_8", "succeeded", metadata=named(world.authorize()))

    assert await world.perform(call) == TransactionMissing()
    assert await world.look_up(call) == TransactionMissing()
    assert account.asked.count("GET /v1/payment_intents") == 3, "what we know of the account is kept"


async def test_an_authorize_whose_transaction_is_known_and_missing_is_judged_as_every_other_call(
    account: Account, world: World
) -> None:
    call = replace(world.authorize(), transaction_id="pi_1")
    with pytest.raises(DownForEverybody, match="PAYMENTS_STRIPE_API_KEY"):
        await world.look_up(call)

    account.add("pi_8", "succeeded", metadata=named(world.authorize()))
    assert await world.look_up(call) == TransactionMissing()


async def test_a_refund_that_is_missing_is_not_a_missing_transaction(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")

    assert await world.look_up(_call(world, K.REFUND)) == NotFound()

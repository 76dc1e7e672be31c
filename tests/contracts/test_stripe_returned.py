"""Money that went back without us: what was taken and refunded in the dashboard is not there any more."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.operation import GatewayCall
from domain.operation import OperationKind as K
from domain.outcome import Approved, Declined, GatewayOutcome, NotFound, Pending, ReturnedElsewhere
from domain.pending import AT_OTHERS
from domain.values import replace
from tests.contracts.account import PAID, Account, named, world_at
from tests.contracts.gateway_worlds import World, stripe_world
from tests.sandbox.client import client_of
from tests.sandbox.process import SandboxProcess

PAID_WHOLE = Approved("pi_1", amount_minor=PAID, captured=True)
REFUNDS_ASKED = "GET /v1/refunds"


@pytest.fixture
def account() -> Account:
    return Account()


@pytest_asyncio.fixture
async def world(account: Account) -> AsyncIterator[World]:
    async with world_at(account) as made:
        yield made


def _capture(world: World) -> GatewayCall:
    return world.call(K.CAPTURE, transaction_id="pi_1")


BACK: list[tuple[list[tuple[int, str]], GatewayOutcome]] = [
    ([], PAID_WHOLE),
    ([(PAID, "failed")], PAID_WHOLE),
    ([(PAID, "succeeded")], ReturnedElsewhere(PAID, "re_0", "pi_1")),
    ([(200, "succeeded"), (50, "failed"), (30, "succeeded")], ReturnedElsewhere(230, "re_2", "pi_1")),
    ([(200, "succeeded"), (50, "pending")], Pending(transaction_id="pi_1", detail=AT_OTHERS)),
    ([(50, "requires_action")], Pending(transaction_id="pi_1", detail=AT_OTHERS)),
]


@pytest.mark.parametrize(("refunds", "expected"), BACK)
async def test_a_capture_that_finds_the_money_given_back_says_so(
    account: Account, world: World, refunds: list[tuple[int, str]], expected: GatewayOutcome
) -> None:
    account.add("pi_1", "succeeded")
    for amount, status in refunds:
        account.add_refund(amount, status)
    call = _capture(world)

    assert (await world.perform(call), await world.look_up(call)) == (expected, expected)


@pytest.mark.parametrize(("refunds", "expected"), BACK)
@pytest.mark.parametrize("known", [None, "pi_1"], ids=["listed", "by its id"])
async def test_an_authorize_that_is_found_taken_and_given_back_says_so(
    account: Account, world: World, refunds: list[tuple[int, str]], expected: GatewayOutcome, known: str | None
) -> None:
    call = world.authorize()
    account.add("pi_1", "succeeded", metadata=named(call))
    for amount, status in refunds:
        account.add_refund(amount, status)

    assert await world.look_up(replace(call, transaction_id=known)) == expected


async def test_refunds_are_read_only_where_the_charge_names_some(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    await world.look_up(_capture(world))
    assert REFUNDS_ASKED not in account.asked


async def test_our_own_refund_is_none_of_somebody_else(account: Account, world: World) -> None:
    capture = _capture(world)
    account.add("pi_1", "succeeded")
    account.add_refund(PAID, metadata=named(world.follow_up(capture, K.REFUND, "pi_1")))

    assert await world.look_up(capture) == PAID_WHOLE


async def test_what_was_captured_in_part_is_that_part_also_if_it_went_back(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded", amount_received=100)
    account.add_refund(100)

    assert await world.perform(_capture(world)) == Approved("pi_1", amount_minor=100, captured=True)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (None, Declined),  # the rest was only let go of: 100 are kept still, so something else is wrong
        ("txn_1", ReturnedElsewhere),  # money did move: nothing is kept
    ],
)
async def test_the_rest_that_a_partial_capture_lets_go_is_no_money_that_came_back(
    account: Account, world: World, moved: str | None, expected: type
) -> None:
    account.add("pi_1", "succeeded", amount_received=100)
    account.add_refund(PAID - 100, balance_transaction=moved)
    account.refuses_refunds = True

    refused = await world.perform(world.call(K.REFUND, transaction_id="pi_1", amount_minor=100))

    assert type(refused) is expected


@pytest.mark.parametrize(("amount", "back"), [(None, PAID), (200, 200)])
async def test_the_sandbox_tells_the_same_of_its_dashboard(
    sandbox: SandboxProcess, amount: int | None, back: int
) -> None:
    world = stripe_world(sandbox.address)
    first = world.authorize()
    transaction_id = await world.approved(first)
    with client_of(sandbox.address) as dashboard:
        dashboard.post(f"/v1/payment_intents/{transaction_id}/capture", {})
        part = {} if amount is None else {"amount": amount}
        refund = dashboard.post("/v1/refunds", {"payment_intent": transaction_id} | part).body["id"]
    capture = world.follow_up(first, K.CAPTURE, transaction_id)
    expected = ReturnedElsewhere(back, refund, transaction_id)

    assert await world.perform(capture) == expected
    assert await world.look_up(capture) == expected
    assert await world.look_up(first) == expected
    await world.gateway.close()


async def test_an_authorization_that_ran_out_is_no_money_that_came_back(account: Account, world: World) -> None:
    account.add("pi_1", "succeeded")
    account.add_refund(PAID, reason="expired_uncaptured_charge")

    assert await world.look_up(_capture(world)) == PAID_WHOLE


async def test_a_look_up_of_our_refund_sees_what_others_gave_back(account: Account, world: World) -> None:
    call = world.call(K.REFUND, transaction_id="pi_1")
    account.add("pi_1", "succeeded")
    assert await world.look_up(call) == NotFound()

    account.add_refund(PAID)
    assert await world.look_up(call) == ReturnedElsewhere(PAID, "re_0")

    account.add_refund(PAID, metadata=named(call))
    assert await world.look_up(call) == Approved("pi_1", "re_1", PAID)


@pytest.mark.parametrize(("kind", "status"), [(K.CAPTURE, "succeeded"), (K.VOID, "canceled"), (K.REFUND, "succeeded")])
async def test_a_payment_in_another_currency_is_none_of_the_calls(
    account: Account, world: World, kind: K, status: str
) -> None:
    account.add("pi_1", status, currency="usd")
    account.add_refund(PAID)
    account.refunds[0]["currency"] = "usd"

    found = await world.perform(world.call(kind, transaction_id="pi_1"))

    assert (getattr(found, "replayed", None), "USD" in getattr(found, "detail", "")) == (True, True)


async def test_what_others_gave_back_is_told_by_their_refund_though_ours_came_behind_it(
    account: Account, world: World
) -> None:
    first, second = (world.call(K.REFUND, transaction_id="pi_1", amount_minor=PAID - 100) for _ in range(2))
    account.add("pi_1", "succeeded")
    account.add_refund(200)
    account.add_refund(100, metadata=named(first))

    assert await world.look_up(second) == ReturnedElsewhere(300, "re_0")

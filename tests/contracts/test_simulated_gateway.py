"""What only the simulated gateway promises: order in time, and time only from outside."""

import asyncio
from datetime import timedelta

import pytest

from deploy.playbank.in_process import SimulatedGateway
from domain.failure_codes import FailureCode
from domain.operation import Frozen, OperationKind
from domain.outcome import Approved, CustomerMustAct, Declined, Lapsed, NotFound, Undecided, Unknown
from domain.values import replace
from tests.contracts.gateway_worlds import collect, simulated_world


async def test_a_sequence_is_one_group_after_one_wait() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    world = simulated_world()
    gateway = SimulatedGateway(world.now, sleep, latency_ms=25)
    calls = [world.authorize() for _ in range(100)]

    groups = [group async for group in gateway.perform(calls)]

    assert [len(group) for group in groups] == [100]
    assert waits == [0.025]


async def test_slow_calls_follow_in_a_group_of_their_own_and_are_always_the_same_ones() -> None:
    world = simulated_world()
    calls = [world.authorize() for _ in range(400)]

    async def told(seed: int) -> list[list[str]]:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        gateway = SimulatedGateway(world.now, sleep, latency_ms=5, slow_share=0.25, slow_s=2, seed=seed)
        groups = [[str(answer.operation_id) for answer in group] async for group in gateway.perform(calls)]
        assert waits == [0.005, 1.995]
        return groups

    prompt, slow = await told(1)

    assert 60 < len(slow) < 140
    assert sorted(prompt + slow) == sorted(str(call.operation_id) for call in calls)
    assert await told(1) == [prompt, slow]
    assert await told(2) != [prompt, slow]


async def test_what_is_slower_than_the_caller_waits_is_executed_in_its_time() -> None:
    world = simulated_world(slow_share=1, slow_s=10, timeout_s=1)
    call = world.authorize()

    assert isinstance(await world.perform(call), Unknown)
    assert await world.look_up(call) == NotFound()
    world.pause(9)

    assert isinstance(await world.look_up(call), Approved)
    assert await world.effects(call.order_id) == [("authorize", 1250)]


async def test_what_was_received_is_executed_also_when_nobody_waits_for_it() -> None:
    world = simulated_world()
    blocked = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await blocked.wait()

    gateway = SimulatedGateway(world.now, sleep, latency_ms=1, slow_share=0.5, slow_s=1)
    calls = [world.authorize() for _ in range(20)]
    iteration = asyncio.create_task(collect(gateway.perform(calls)))
    await asyncio.sleep(0)
    iteration.cancel()
    await asyncio.gather(iteration, return_exceptions=True)

    assert len(await gateway.entries()) == 20


async def test_an_authorization_lapses_in_its_time() -> None:
    world = simulated_world()
    first = world.authorize()
    transaction_id = await world.approved(first)
    world.pause(timedelta(days=7).total_seconds())

    capture = world.follow_up(first, OperationKind.CAPTURE, transaction_id)

    assert await world.perform(capture) == Lapsed()
    assert await world.look_up(first) == Lapsed(transaction_id)
    assert await world.effects(first.order_id) == [("authorize", 1250), ("cancel", 1250)]


async def test_a_key_older_than_a_day_runs_as_new() -> None:
    """This is what the pipeline must never rely on: it sends no key after 23 hours."""
    world = simulated_world()
    call = world.authorize()
    first = await world.approved(call)
    world.pause(timedelta(hours=24).total_seconds())

    assert await world.approved(call) != first


async def test_a_gateway_that_is_down_executes_nothing() -> None:
    world = simulated_world()
    assert isinstance(world.gateway, SimulatedGateway)
    call = world.authorize()
    world.gateway.down = True

    assert isinstance(await world.perform(call), Unknown)
    assert isinstance(await world.look_up(call), Unknown)
    world.gateway.down = False

    assert await world.look_up(call) == NotFound()
    assert isinstance(await world.perform(call), Approved)


BACK = Frozen(return_url="https://shop.example/back")
ASKS = "pm_card_authenticationRequired"


async def test_a_method_that_asks_its_customer_asks_only_where_they_can_come_back() -> None:
    world = simulated_world()
    asked = await world.perform(replace(world.authorize(ASKS), frozen=BACK))
    assert isinstance(asked, CustomerMustAct)
    assert asked.url == f"https://bank.example/confirm/{asked.transaction_id}"
    declined = await world.perform(world.authorize(ASKS))
    assert isinstance(declined, Declined)
    assert declined.code is FailureCode.AUTHENTICATION_REQUIRED


@pytest.mark.parametrize(
    ("token", "confirms", "kind", "effects"),
    [
        (ASKS, True, Approved, ["authorize"]),
        (ASKS, False, Undecided, []),
        ("pm_card_threeDSecureRequiredChargeDeclined", True, Declined, []),
    ],
)
async def test_a_customer_acts_once_and_a_look_up_shows_what_came_of_it(
    token: str,
    confirms: bool,  # noqa: FBT001
    kind: type[object],
    effects: list[str],
) -> None:
    world = simulated_world()
    call = replace(world.authorize(token), frozen=BACK)
    asked = await world.perform(call)
    assert isinstance(asked, CustomerMustAct)
    assert await world.look_up(call) == asked
    assert isinstance(world.gateway, SimulatedGateway)

    assert world.gateway.act_for_customer(asked.transaction_id, confirms=confirms)
    assert not world.gateway.act_for_customer(asked.transaction_id, confirms=confirms)

    assert isinstance(await world.look_up(call), kind)
    assert [effect for effect, _ in await world.effects(call.order_id)] == effects
    assert await world.perform(call) == asked, "the key repeats its first answer"


async def test_what_asks_its_customer_can_be_cancelled_and_then_nobody_can_confirm_it() -> None:
    world = simulated_world()
    call = replace(world.authorize(ASKS), frozen=BACK)
    asked = await world.perform(call)
    assert isinstance(asked, CustomerMustAct)

    void = world.follow_up(call, OperationKind.VOID, asked.transaction_id, 0)
    assert isinstance(await world.perform(void), Approved)

    assert isinstance(world.gateway, SimulatedGateway)
    assert not world.gateway.act_for_customer(asked.transaction_id, confirms=True)
    assert await world.look_up(call) == Lapsed(asked.transaction_id)


async def test_a_bank_decides_on_a_debit_in_its_time() -> None:
    world = simulated_world(pending_s=60)
    paid, declined = world.authorize("pm_debit_days"), world.authorize("pm_debit_days_declined")
    for call in (paid, declined):
        await world.perform(call)
        assert await world.effects(call.order_id) == []
    world.pause(60)

    transaction = getattr(await world.look_up(paid), "transaction_id", None)
    assert await world.look_up(paid) == Approved(transaction, amount_minor=1250, captured=True)
    assert await world.effects(paid.order_id) == [("authorize", 1250), ("capture", 1250)]
    refused = await world.look_up(declined)
    assert isinstance(refused, Declined)
    assert refused.gateway_code == "payment_method_provider_decline"
    assert await world.effects(declined.order_id) == []


async def test_a_disputed_payment_is_not_refunded() -> None:
    world = simulated_world()
    call = world.authorize("pm_card_createDispute")
    transaction = await world.approved(call)
    await world.perform(world.follow_up(call, OperationKind.CAPTURE, transaction))

    refused = await world.perform(world.follow_up(call, OperationKind.REFUND, transaction))

    assert refused == Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed")

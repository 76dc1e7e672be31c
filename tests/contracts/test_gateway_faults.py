"""What every gateway promises when calls are lost, late, many or random, and that both tell the same story."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from deploy.playbank.methods import Fault
from domain.operation import GatewayCall, OperationKind
from domain.outcome import (
    Approved,
    Declined,
    GatewayOutcome,
    NotExecuted,
    NotFound,
    Unknown,
)
from tests.contracts.gateway_worlds import World, collect, same, simulated_world, stripe_world
from tests.sandbox.process import SandboxProcess

AUTHORIZE, CAPTURE, VOID, REFUND = (
    OperationKind.AUTHORIZE,
    OperationKind.CAPTURE,
    OperationKind.VOID,
    OperationKind.REFUND,
)

FIRST_ANSWERS: dict[Fault, tuple[type[GatewayOutcome], bool]] = {
    Fault.RESET_BEFORE: (Unknown, False),
    Fault.RESET_AFTER: (Unknown, True),
    Fault.TIMEOUT_BEFORE: (Unknown, False),
    Fault.TIMEOUT_AFTER: (Unknown, True),
    Fault.ERROR_AFTER: (Unknown, True),
    Fault.RATE_LIMITED: (NotExecuted, False),
    Fault.HTML: (Unknown, False),
    Fault.TRUNCATED: (Unknown, True),
}
EFFECT = {AUTHORIZE: "authorize", CAPTURE: "capture", VOID: "cancel", REFUND: "refund"}


async def _prepared(world: World, fault: Fault, kind: OperationKind, suffix: str = "") -> GatewayCall:
    captured = "_captured" if kind is REFUND else ""
    first = world.authorize(f"pm_fault_{fault}_on_{kind}{captured}{suffix}")
    return first if kind is AUTHORIZE else world.follow_up(first, kind, await world.approved(first))


async def _count(world: World, call: GatewayCall) -> int:
    return [kind for kind, _ in await world.effects(call.order_id)].count(EFFECT[call.kind])


@pytest.mark.parametrize("kind", [AUTHORIZE, CAPTURE, VOID, REFUND])
@pytest.mark.parametrize("fault", FIRST_ANSWERS)
async def test_every_fault_leads_to_the_truth_with_one_effect(world: World, fault: Fault, kind: OperationKind) -> None:
    call = await _prepared(world, fault, kind)
    expected, executed = FIRST_ANSWERS[fault]

    first = await world.perform(call)
    assert isinstance(first, expected)
    assert await _count(world, call) == int(executed)
    seen = await world.look_up(call)
    assert isinstance(seen, Approved if executed else NotFound)
    again = await world.perform(call)

    if fault is Fault.ERROR_AFTER:
        assert isinstance(again, Unknown)
        assert again.replayed
    else:
        assert isinstance(again, Approved)
        assert await world.look_up(call) == again
    assert isinstance(await world.look_up(call), Approved)
    assert await _count(world, call) == 1


@pytest.mark.parametrize("fault", FIRST_ANSWERS)
async def test_a_fault_that_is_always_there_still_has_one_effect_at_the_most(world: World, fault: Fault) -> None:
    call = await _prepared(world, fault, AUTHORIZE, "_always")
    expected, executed = FIRST_ANSWERS[fault]

    answers = [await world.perform(call) for _ in range(2)]

    assert [type(answer) for answer in answers] == [expected, expected]
    assert await _count(world, call) == int(executed)
    assert isinstance(await world.look_up(call), Approved if executed else NotFound)


async def test_a_slow_call_is_executed_late_and_once(world: World) -> None:
    call = world.authorize("pm_fault_slow_3s")

    assert isinstance(await world.perform(call), Unknown)
    assert await world.look_up(call) == NotFound()
    meanwhile = await world.perform(call)
    assert isinstance(meanwhile, Unknown)
    assert not meanwhile.replayed

    assert same(await world.look_up_until(call, Approved)) == Approved("", amount_minor=1250)
    assert same(await world.perform(call)) == Approved("", amount_minor=1250)
    assert await world.effects(call.order_id) == [("authorize", 1250)]


async def test_a_large_batch_gets_one_answer_for_every_call(world: World) -> None:
    tokens = ["pm_card_visa", "pm_wallet_captured", "pm_card_chargeDeclined", "pm_fault_429"]
    calls = [world.authorize(tokens[i % len(tokens)]) for i in range(400)]

    answers = await collect(world.gateway.perform(calls))

    expected = [Approved, Approved, Declined, NotExecuted]
    by_id = {answer.operation_id: type(answer.outcome) for answer in answers}
    assert len(answers) == len(calls)
    assert by_id == {call.operation_id: expected[i % 4] for i, call in enumerate(calls)}
    found = await collect(world.gateway.look_up(calls))
    assert {answer.operation_id: type(answer.outcome) for answer in found} == {
        operation: NotFound if outcome is NotExecuted else outcome for operation, outcome in by_id.items()
    }


async def test_nothing_is_asked_for_nothing(world: World) -> None:
    assert await collect(world.gateway.perform([])) == []
    assert await collect(world.gateway.look_up([])) == []


async def test_what_may_not_begin_is_not_sent_and_has_no_answer(world: World) -> None:
    calls = [world.authorize() for _ in range(20)]
    may = set(calls[::3])

    answers = await collect(world.gateway.perform(calls, may.__contains__))

    outcomes = {answer.operation_id: type(answer.outcome) for answer in answers}
    assert outcomes == {call.operation_id: Approved for call in may}
    for call in calls:
        assert await world.effects(call.order_id) == [("authorize", 1250)] * (call in may)


async def test_an_iteration_left_early_leaves_the_gateway_usable(world: World) -> None:
    stuck = world.authorize("pm_fault_timeout_before_always")
    good = world.authorize()

    async def first_group() -> None:
        async for _ in world.gateway.perform([good, stuck]):
            return

    await asyncio.wait_for(first_group(), 5)

    assert same(await world.perform(good)) == Approved("", amount_minor=1250)
    assert await world.effects(stuck.order_id) == []


@pytest.mark.parametrize("seed", [20260504, 7, 1999])
async def test_both_gateways_tell_the_same_story(seed: int, sandbox: SandboxProcess, closing: AsyncExitStack) -> None:
    """A seeded walk: whatever is asked in whatever order, outcomes and effects are the same in both worlds."""
    walk = random.Random(seed)
    tokens = [
        "pm_card_visa",
        "pm_wallet_captured",
        "pm_card_chargeDeclinedLostCard",
        "pm_fault_reset_after",
        "pm_fault_429_on_capture",
        "pm_fault_500_after_on_void",
        "pm_fault_truncated_on_refund_captured",
        "pm_fault_void_refused_captured",
        "pm_fault_capture_refused",
    ]
    worlds = simulated_world(), stripe_world(sandbox.address)
    closing.push_async_callback(worlds[1].gateway.close)
    for _ in range(40):
        token, amount = walk.choice(tokens), walk.randint(1, 5000)
        steps = [
            (walk.choice([CAPTURE, VOID, REFUND]), walk.choice([amount, amount, amount + 1, max(1, amount // 2)]), n)
            for n in (walk.randint(1, 2) for _ in range(walk.randint(1, 6)))
        ]
        stories = [await _story(world, token, amount, steps) for world in worlds]
        assert stories[0] == stories[1], (token, amount, steps)


async def _story(
    world: World, token: str, amount: int, steps: list[tuple[OperationKind, int, int]]
) -> list[GatewayOutcome | list[tuple[str, int]]]:
    first = world.authorize(token, amount)
    await world.perform(first)
    found = await world.look_up(first)
    story: list[GatewayOutcome | list[tuple[str, int]]] = [same(found)]
    transaction_id = getattr(found, "transaction_id", None) or "pi_none"
    for kind, part, n in steps:
        call = world.follow_up(first, kind, transaction_id, part, n)
        story += [same(await world.perform(call)), same(await world.look_up(call))]
    story.append(await world.effects(first.order_id))
    return story

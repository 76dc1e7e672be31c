"""The oracle is alive: it finds nothing where nothing is wrong, and each of the mistakes that it is there for."""

import asyncio

import pytest

from consumers.customer_notification_requested import notify_customer
from consumers.order_confirmed import authorize_payment
from consumers.runtime.redriving import Redriver
from schemas.rejection import Reason
from tests.chaos.mistakes.world import CONFLICTS, QUICK, SmallWorld
from tests.chaos.mistakes.wrappers import (
    LeaseIgnored,
    LettersDropped,
    OffsetBeforeTransaction,
    PositionNotPutBack,
    RedrivesTwice,
)
from tests.consumers.broken import plans_badly, with_these
from tests.consumers.conftest import MakePipeline

pytestmark = pytest.mark.integration

ORDERS = 12


DECLINED = tuple(kind for kind in QUICK if kind.name == "declined: lost card")


@pytest.fixture
async def world(make_pipeline: MakePipeline) -> SmallWorld:
    world = SmallWorld(await make_pipeline(drain_timeout_s=2))
    await world.furnish()
    return world


async def test_where_nothing_is_wrong_the_oracle_finds_nothing(world: SmallWorld) -> None:
    world.join()
    await world.publish(ORDERS)
    await world.publish(2, CONFLICTS)
    await world.until_ended(ORDERS + 2)
    verdict = await world.verdict()
    assert verdict.violations == ()
    assert verdict.counts["orders"] == ORDERS + 2


async def test_a_position_that_is_not_put_back_is_found_by_the_orders_that_it_lost(world: SmallWorld) -> None:
    orders = await world.publish(ORDERS)
    has_raised = asyncio.Event()
    world.join(make_source=lambda source: PositionNotPutBack(source, has_raised))
    await asyncio.wait_for(has_raised.wait(), 60)
    orders += await world.publish(1)
    await world.until_ended(1)
    verdict = await world.verdict()
    lost = {violation.subject for violation in verdict.violations if violation.check == "lost"}
    assert lost
    assert lost < {order.order_id for order in orders}


async def test_an_offset_committed_before_the_transaction_is_found_by_the_orders_that_a_crash_lost(
    world: SmallWorld,
) -> None:
    await world.publish(ORDERS)
    has_committed = asyncio.Event()
    member = world.join(make_source=lambda source: OffsetBeforeTransaction(source, has_committed))
    await asyncio.wait_for(has_committed.wait(), 60)
    await member.crash()
    world.join()
    await world.publish(1)
    await world.until_ended(1)
    assert (await world.verdict()).by_check()["lost"] > 0


@pytest.mark.parametrize("drops", [False, True])
async def test_a_quarantine_that_drops_is_found_by_the_message_that_has_no_dead_letter(
    world: SmallWorld, *, drops: bool
) -> None:
    bad = world.orders(2)
    raising = with_these(plans_badly(authorize_payment, {order.order_id for order in bad}))
    world.join(reactions=raising, wrap=lambda store: LettersDropped(store, Reason.QUARANTINED) if drops else store)
    await world.confirm(bad, raises=True)
    await world.publish(ORDERS)
    await world.until_ended(ORDERS)
    found = (await world.verdict()).by_check()
    assert found == ({"no dead letter": 2 * len(bad)} if drops else {})


@pytest.mark.parametrize("twice", [False, True])
async def test_a_letter_redriven_twice_is_found_by_the_customer_who_was_told_twice(
    world: SmallWorld, *, twice: bool
) -> None:
    (order,) = await world.publish(1, DECLINED)
    world.raised = {order.order_id}
    broken = world.join(reactions=with_these(plans_badly(notify_customer, world.raised)))
    await world.pipeline.until(lambda: world.pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await world.until_ended(1)
    await broken.leave()
    letter_id = await world.pipeline.value("SELECT id FROM dead_letter")
    for _ in range(2):
        await world.redriver(RedrivesTwice if twice else Redriver).redrive(letter_id)
    verdict = await world.verdict()
    said = {(violation.check, violation.what) for violation in verdict.violations}
    both = {("double", "redriven 2 times"), ("double", "a customer was told 2 times")}
    assert said == (both if twice else set())


async def test_a_conflict_that_is_swallowed_is_found_by_the_message_that_has_no_dead_letter(world: SmallWorld) -> None:
    world.join(wrap=lambda store: LettersDropped(store, Reason.CONFLICT))
    orders = await world.publish(2, CONFLICTS)
    await world.publish(ORDERS)
    await world.until_ended(ORDERS + len(orders))
    verdict = await world.verdict()
    assert verdict.by_check() == {"no dead letter": 2 * len(orders)}


async def test_a_lease_that_is_ignored_is_found_by_two_calls_at_once(world: SmallWorld) -> None:
    world.join(sweep=False)
    world.join(wrap=lambda store: LeaseIgnored(store, world.pipeline.end_leases))
    await world.publish(ORDERS)
    await world.until_ended(ORDERS)
    assert (await world.verdict()).by_check()["lease"] > 0

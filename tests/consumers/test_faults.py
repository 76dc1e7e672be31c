"""Answers that are lost, late, spoilt or none: every order has its right outcome, and each effect happens once."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consumers.runtime.bounds import Bounds
from deploy.bounds import bounds_of
from deploy.playbank.methods import Fault
from deploy.settings import Settings
from schemas.events import MoneyState, NotificationKind, ReviewMoney, ReviewOperation
from tests.consumers import harness
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order

pytestmark = pytest.mark.integration

FAULTS = [fault for fault in Fault if fault is not Fault.SLOW]


async def publish_each(pipeline: Pipeline, tokens: Sequence[str], **overrides: object) -> list[str]:
    """Publish one order for each token; the order id is the token."""
    await pipeline.publish(*(order(token, token, **overrides) for token in tokens))
    return list(tokens)


async def test_faults_of_authorize_and_capture_end_paid_with_one_effect_each(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=100, SKU_2=100)
    await pipeline.join()
    tokens = [f"pm_fault_{fault}_on_{kind}" for fault in FAULTS for kind in ("authorize", "capture")]
    everywhere = [f"pm_fault_{fault}" for fault in FAULTS]
    at_once = [f"pm_fault_{fault}_on_authorize_captured" for fault in FAULTS]
    orders = await publish_each(pipeline, [*tokens, *everywhere, *at_once])
    await pipeline.until_status("paid_and_confirmed", *orders)
    await assert_all_is_well(pipeline)
    for order_id in orders:
        assert await pipeline.effects(order_id) == ["authorize", "capture"], order_id
        assert await pipeline.story(order_id) == ["PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"], order_id
    assert await pipeline.value("SELECT count(*) FROM operation WHERE tries > 1") >= len(tokens)


async def test_faults_of_void_and_refund_end_with_the_money_back_and_one_effect_each(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=1, SKU_2=100)
    await pipeline.join()
    voids = await publish_each(pipeline, [f"pm_fault_{fault}_on_void" for fault in FAULTS])
    refunds = await publish_each(pipeline, [f"pm_fault_{fault}_on_refund_captured" for fault in FAULTS])
    await pipeline.until_status("payment_failed", *voids, *refunds)
    await assert_all_is_well(pipeline)
    for order_id in voids:
        assert await pipeline.effects(order_id) == ["authorize", "cancel"], order_id
        assert (await pipeline.story(order_id)).count("PaymentVoided") == 1, order_id
    for order_id in refunds:
        assert await pipeline.effects(order_id) == ["authorize", "capture", "refund"], order_id
        assert (await pipeline.story(order_id)).count("PaymentRefunded") == 1, order_id


async def test_customer_hears_once_that_it_takes_long_and_not_to_pay_again(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(delayed_notice_s=0.3)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    pipeline.gateway.down = True
    await pipeline.publish(order())
    await pipeline.until_told("PAYMENT_DELAYED")
    tries = await pipeline.value("SELECT tries FROM operation")

    async def tried_again() -> bool:
        return bool(await pipeline.value("SELECT tries > %s FROM operation", tries + 1))

    await pipeline.until(tried_again, "more tries")
    pipeline.gateway.down = False
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    (notice,) = await pipeline.events("order-1", "CustomerNotificationRequested")
    assert (notice.kind, notice.retryable, notice.order_version) == (NotificationKind.PAYMENT_DELAYED, False, 1)
    assert notice.money is MoneyState.NONE
    assert "do not pay again" in notice.reason


@pytest.mark.parametrize("mood", ["refuses_us", "is_busy"])
async def test_customers_hear_once_not_to_pay_again_while_the_gateway_is_down_and_nobody_asks_it(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    def with_a_breaker_that_stays_open(settings: Settings) -> Bounds:
        return replace(bounds_of(settings), breaker_failures=2, breaker_pause_s=600, breaker_pause_max_s=600)

    monkeypatch.setattr(harness, "bounds_of", with_a_breaker_that_stays_open)
    pipeline = await make_pipeline(delayed_notice_s=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    setattr(pipeline.gateway, mood, True)
    orders = [f"order-{n}" for n in range(5)]
    await pipeline.publish(*map(order, orders))
    first, _ = await pipeline.join(), await pipeline.join()
    breaker = first.engine.breaker

    async def all_told() -> bool:
        told = await pipeline.value("SELECT count(*) FROM notification WHERE kind = 'PAYMENT_DELAYED'")
        known = await pipeline.value("SELECT count(*) FROM orders")
        return bool(told == known > 0)

    await pipeline.until(all_told, "all whose order was read are told")
    asked = len(pipeline.gateway.asked)
    await pipeline.until_told("PAYMENT_DELAYED")
    assert (breaker.is_open, len(pipeline.gateway.asked)) == (True, asked)
    for member in pipeline.members:
        await member.leave()
    setattr(pipeline.gateway, mood, False)
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *orders)
    await assert_all_is_well(pipeline)
    assert await pipeline.value("SELECT max(c) FROM (SELECT count(*) c FROM notification GROUP BY order_id) n") == 1


@pytest.mark.parametrize(
    ("token", "operation", "reason", "money"),
    [
        ("pm_fault_reset_after_on_authorize_always", ReviewOperation.AUTHORIZE, None, None),
        ("pm_fault_html_on_authorize_always", ReviewOperation.AUTHORIZE, "authorize_unknown", ReviewMoney.UNKNOWN),
        ("pm_fault_timeout_before_on_capture_always", ReviewOperation.CAPTURE, "capture_unknown", ReviewMoney.UNKNOWN),
        ("pm_fault_429_on_capture_always", ReviewOperation.CAPTURE, "capture_not_executed", ReviewMoney.HELD),
    ],
)
async def test_outcome_unknown_to_the_end_goes_to_a_person_with_a_reason(
    make_pipeline: MakePipeline,
    token: str,
    operation: ReviewOperation,
    reason: str | None,
    money: ReviewMoney | None,
) -> None:
    pipeline = await make_pipeline(unknown_give_up_s=0.6, tries_max=4)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pipeline.publish(order(token=token))
    if reason is None:
        # A look-up shows the truth even where every answer is lost.
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await assert_all_is_well(pipeline)
        return
    await pipeline.until_status("manual_review", "order-1")
    await assert_all_is_well(pipeline)
    (review,) = await pipeline.events("order-1", "PaymentReviewRequired")
    assert (review.operation, review.reason, review.money) == (operation, reason, money)
    assert await pipeline.rows("SELECT review_reason FROM orders") == [(reason,)]
    assert await pipeline.value("SELECT count(*) FROM operation WHERE due_at IS NOT NULL") == 0


async def test_one_call_that_hangs_and_one_that_fails_on_and_on_hold_up_nobody(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    gateway = pipeline.gateway
    gateway.hangs_for.add("hangs")
    gateway.fails_for.add("fails")
    around = [f"order-{n}" for n in range(10)]
    await pipeline.publish(order(around[0]), order("hangs"), order("fails"), *map(order, around[1:]))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *around)

    async def failed_again_and_again() -> bool:
        return gateway.performed["fails"] > 4

    await pipeline.until(failed_again_and_again, "tries")
    later = [f"later-{n}" for n in range(10)]
    await pipeline.publish(*map(order, later))
    await pipeline.until_status("paid_and_confirmed", *later)
    assert await pipeline.status("hangs") == await pipeline.status("fails") == "confirmed"

    gateway.fails_for.clear()
    gateway.hangs_for.clear()
    await pipeline.end_leases()
    await pipeline.until_status("paid_and_confirmed", "hangs", "fails")
    await assert_all_is_well(pipeline)
    assert gateway.performed["hangs"] == 3

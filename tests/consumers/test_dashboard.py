"""Somebody acts in the gateway's dashboard between two steps of ours: each order ends where the money really is."""

from typing import Any, Final

import pytest

from consumers.order_confirmed import authorize_payment
from domain.ids import OrderId
from domain.ruling import No, Ruling, Word
from schemas.events import Line, MoneyState, Stage
from tests.consumers.claims import assert_all_is_well, assert_the_audit_holds
from tests.consumers.orders import TOTAL_MINOR, order, retry
from tests.consumers.real_gateway import MakeWorld, World, make_world

__all__ = ["make_world"]

pytestmark = pytest.mark.integration

PART_MINOR: Final = 1_000
NOWHERE: Final = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)


async def authorized(make_world: MakeWorld, token: str = "pm_card_visa", **fields: Any) -> tuple[World, str]:
    """Have an order authorized and nothing more; return its transaction, too."""
    world = await make_world()
    await world.pipeline.stock(SKU_1=10, SKU_2=10)
    first = await world.join([authorize_payment], relay=False, sweep=False)
    await world.pipeline.publish(order(token=token, **fields))
    await world.pipeline.until_status("payment_authorized", "order-1")
    await first.leave()
    return world, await world.pipeline.value("SELECT transaction_id FROM attempt")


async def somebody(world: World, path: str, **form: Any) -> Any:
    status, body = await world.proxy.call("POST", path, form)
    assert status == 200, body
    return body


async def test_captured_in_part_is_a_review_at_once_and_the_part_goes_back(make_world: MakeWorld) -> None:
    world, transaction = await authorized(make_world)
    pipeline = world.pipeline
    await somebody(world, f"/v1/payment_intents/{transaction}/capture", amount_to_capture=PART_MINOR)

    await world.join()
    await pipeline.until_status("manual_review", "order-1")
    assert await pipeline.rows("SELECT review_reason FROM orders") == [("captured_in_part",)]
    assert await pipeline.value("SELECT tries FROM operation WHERE kind = 'capture'") == 1, "nobody polled"
    await assert_all_is_well(pipeline)
    resolver = pipeline.resolver()
    executed = await resolver.resolve(OrderId("order-1"), Ruling(Word.EXECUTED, "saw it", "alice"))
    assert isinstance(executed, No)
    assert "only a part" in executed.why
    refunded = await resolver.resolve(OrderId("order-1"), Ruling(Word.NOT_EXECUTED, "saw it", "alice"))
    assert refunded is not None
    assert not isinstance(refunded, No)

    await pipeline.until_status("payment_failed", "order-1")
    (event,) = await pipeline.events("order-1", "PaymentRefunded")
    assert event.amount_minor == PART_MINOR
    assert [(e.kind, e.amount_minor) for e in (await pipeline.ledger("order-1"))[0].effects] == [
        ("authorize", TOTAL_MINOR),
        ("capture", PART_MINOR),
        ("refund", PART_MINOR),
    ]
    await assert_all_is_well(pipeline)


async def test_captured_whole_is_paid_and_captured_once(make_world: MakeWorld) -> None:
    world, transaction = await authorized(make_world)
    await somebody(world, f"/v1/payment_intents/{transaction}/capture")

    await world.join()
    await world.pipeline.until_status("paid_and_confirmed", "order-1")
    assert await world.pipeline.effects("order-1") == ["authorize", "capture"]
    await assert_all_is_well(world.pipeline)


async def test_cancelled_fails_the_order_and_another_method_pays(make_world: MakeWorld) -> None:
    world, transaction = await authorized(make_world)
    await somebody(world, f"/v1/payment_intents/{transaction}/cancel")

    await world.join()
    await world.pipeline.until_status("payment_failed", "order-1")
    (failed,) = await world.pipeline.events("order-1", "PaymentFailed")
    assert (failed.stage, failed.failure_code, failed.money, failed.retryable) == (
        Stage.CAPTURE,
        "authorization_expired",
        MoneyState.NONE,
        True,
    )
    await world.pipeline.publish(retry())
    await world.pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(world.pipeline)


async def test_refunded_first_is_told_with_that_refund_and_nothing_is_refunded_twice(make_world: MakeWorld) -> None:
    world, transaction = await authorized(make_world, "pm_wallet_captured", lines=NOWHERE)
    refund = await somebody(world, "/v1/refunds", payment_intent=transaction)

    await world.join()
    await world.pipeline.until_status("payment_failed", "order-1")
    (event,) = await world.pipeline.events("order-1", "PaymentRefunded")
    assert (event.refund_id, event.amount_minor) == (refund["id"], refund["amount"])
    assert await world.pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    await assert_all_is_well(world.pipeline)


async def test_refunded_in_part_first_only_the_rest_is_refunded(make_world: MakeWorld) -> None:
    world, transaction = await authorized(make_world, "pm_wallet_captured", lines=NOWHERE)
    refund = await somebody(world, "/v1/refunds", payment_intent=transaction, amount=PART_MINOR)
    ((captured,),) = await world.pipeline.rows("SELECT captured_minor FROM attempt")

    await world.join()
    await world.pipeline.until_status("payment_failed", "order-1")
    told = [(e.refund_id, e.amount_minor) for e in await world.pipeline.events("order-1", "PaymentRefunded")]
    assert told[0] == (refund["id"], PART_MINOR)
    assert [amount for _, amount in told[1:]] == [captured - PART_MINOR]
    (entry,) = await world.pipeline.ledger("order-1")
    assert [(e.kind, e.amount_minor) for e in entry.effects if e.kind == "refund"] == [
        ("refund", PART_MINOR),
        ("refund", captured - PART_MINOR),
    ]
    assert entry.kept_minor == 0
    await world.pipeline.until_quiet()
    await _audited(world)


async def _audited(world: World) -> None:
    """Audit alone: the claims of other tests know one effect of a kind, and here two refunds are right."""
    ((kept, status),) = await world.pipeline.rows(
        "SELECT a.captured_minor - a.refunded_minor, o.status FROM attempt a JOIN orders o USING (order_id)"
    )
    assert (kept, status) == (0, "payment_failed")
    await assert_the_audit_holds(world.pipeline)

"""The goods cannot be had, or the money cannot be taken: nothing is kept, and the customer is told."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.events import MoneyState, NotificationKind, ShortageReason, Stage
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import FREE, TOTAL_MINOR, order, retry

pytestmark = pytest.mark.integration

NOTICE = "CustomerNotificationRequested"


async def fail(pipeline: Pipeline, **overrides: Any) -> None:
    await pipeline.publish(order(**overrides))
    await pipeline.until_status("payment_failed", "order-1")
    await assert_all_is_well(pipeline)


async def empty_shelves(make_pipeline: MakePipeline, **settings: Any) -> Pipeline:
    """Make a running pipeline that has one unit of SKU-1, where two are wanted."""
    pipeline = await make_pipeline(**settings)
    await pipeline.stock(SKU_1=1, SKU_2=10)
    await pipeline.join()
    return pipeline


async def test_out_of_stock_after_authorization_is_voided_and_the_customer_is_told(make_pipeline: MakePipeline) -> None:
    pipeline = await empty_shelves(make_pipeline)
    await fail(pipeline)
    _, short, voided, failed, notice = [e for e in await pipeline.events("order-1") if hasattr(e, "order_version")]
    (entry,) = await pipeline.ledger("order-1")
    assert [e.kind for e in entry.effects] == ["authorize", "cancel"]
    assert (short.TYPE, short.reason) == ("ReservationFailed", ShortageReason.SHORT)
    assert [(m.sku, m.requested, m.available) for m in short.missing] == [("SKU-1", 2, 1)]
    assert (voided.TYPE, voided.transaction_id, voided.amount_minor) == (
        "PaymentVoided",
        entry.transaction_id,
        TOTAL_MINOR,
    )
    assert (failed.TYPE, failed.stage, failed.failure_code) == ("PaymentFailed", Stage.RESERVE, "items_unavailable")
    assert (failed.money, failed.retryable, failed.retry_until) == (MoneyState.NONE, False, None)
    assert (notice.TYPE, notice.kind, notice.missing) == (NOTICE, NotificationKind.ITEMS_UNAVAILABLE, short.missing)
    assert {e.order_version for e in (voided, failed, notice)} == {3}
    assert await pipeline.rows("SELECT event_id, kind FROM notification") == [(notice.event_id, "ITEMS_UNAVAILABLE")]
    assert await pipeline.shelf("SKU-1") == (1, 0, 0)
    assert await pipeline.shelf("SKU-2") == (10, 0, 0)


async def test_unknown_sku_is_named_without_a_quantity(pipeline: Pipeline) -> None:
    lines = ({"sku": "SKU-X", "quantity": 3, "unit_price_minor": 500},)
    await fail(pipeline, lines=lines)
    (short,) = await pipeline.events("order-1", "ReservationFailed")
    assert short.reason is ShortageReason.UNKNOWN_SKU
    assert [(m.sku, m.requested, m.available) for m in short.missing] == [("SKU-X", 3, None)]


async def test_out_of_stock_after_capture_is_refunded_with_both_ids(make_pipeline: MakePipeline) -> None:
    pipeline = await empty_shelves(make_pipeline)
    await fail(pipeline, token="pm_wallet_captured")
    (refunded,) = await pipeline.events("order-1", "PaymentRefunded")
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    (entry,) = await pipeline.ledger("order-1")
    (refund_id,) = await pipeline.rows("SELECT refund_id FROM attempt")
    assert [e.kind for e in entry.effects] == ["authorize", "capture", "refund"]
    assert (refunded.transaction_id, refunded.refund_id, refunded.amount_minor) == (
        entry.transaction_id,
        refund_id[0],
        TOTAL_MINOR,
    )
    assert refunded.refund_id.startswith("re_")
    assert (failed.stage, failed.money) == (Stage.RESERVE, MoneyState.RETURNED)
    assert "PaymentVoided" not in await pipeline.story("order-1")


async def test_refund_that_takes_time_fails_the_order_at_once_and_is_told_of_when_done(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await empty_shelves(make_pipeline, sandbox_pending_s=0.5)
    await fail(pipeline, token="pm_fault_refund_pending")
    assert await pipeline.story("order-1") == [
        "PaymentAuthorized",
        "ReservationFailed",
        "PaymentFailed",
        NOTICE,
        "PaymentRefunded",
        NOTICE,
    ]
    failed, told, refunded, told_later = await pipeline.events("order-1", "PaymentFailed", "PaymentRefunded", NOTICE)
    assert (failed.money, told.money, told_later.money) == (
        MoneyState.RETURNING,
        MoneyState.RETURNING,
        MoneyState.RETURNED,
    )
    assert (told.kind, told_later.kind) == (NotificationKind.ITEMS_UNAVAILABLE, NotificationKind.REFUNDED)
    assert refunded.amount_minor == TOTAL_MINOR
    assert await pipeline.effects("order-1") == ["authorize", "capture", "refund"]


async def test_refused_capture_is_voided_and_the_goods_are_free_again(pipeline: Pipeline) -> None:
    await fail(pipeline, token="pm_fault_capture_refused")
    assert await pipeline.story("order-1") == [
        "PaymentAuthorized",
        "ItemsReserved",
        "PaymentVoided",
        "PaymentFailed",
        NOTICE,
        "ReservationReleased",
    ]
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert (failed.stage, failed.failure_code, failed.money) == (Stage.CAPTURE, "capture_refused", MoneyState.NONE)
    assert failed.retryable
    assert failed.retry_until is not None
    assert await pipeline.effects("order-1") == ["authorize", "cancel"]
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    await pipeline.publish(retry())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.shelf("SKU-1") == (8, 0, 2)


async def test_void_that_finds_the_money_captured_refunds_it(make_pipeline: MakePipeline) -> None:
    pipeline = await empty_shelves(make_pipeline)
    await fail(pipeline, token="pm_fault_void_refused_captured")
    (refunded,) = await pipeline.events("order-1", "PaymentRefunded")
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert refunded.amount_minor == TOTAL_MINOR
    assert failed.money is MoneyState.RETURNED
    assert await pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    assert await pipeline.rows("SELECT kind, state FROM operation ORDER BY opened_at") == [
        ("authorize", "approved"),
        ("void", "approved"),
        ("refund", "approved"),
    ]


async def test_order_that_costs_nothing_is_paid_without_the_gateway(pipeline: Pipeline) -> None:
    await pipeline.publish(order(**FREE))
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    (authorized,) = await pipeline.events("order-1", "PaymentAuthorized")
    (paid,) = await pipeline.events("order-1", "PaidAndConfirmed")
    assert (authorized.transaction_id, authorized.amount_minor, authorized.captured) == (None, 0, False)
    assert (paid.transaction_id, paid.amount_minor) == (None, 0)
    assert await pipeline.gateway.entries() == []
    assert await pipeline.rows("SELECT kind FROM operation") == []
    assert await pipeline.shelf("SKU-1") == (8, 0, 2)


async def test_order_that_costs_nothing_and_is_out_of_stock_fails_without_the_gateway(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await empty_shelves(make_pipeline)
    await fail(pipeline, **FREE)
    assert await pipeline.story("order-1") == ["PaymentAuthorized", "ReservationFailed", "PaymentFailed", NOTICE]
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert (failed.stage, failed.money) == (Stage.RESERVE, MoneyState.NONE)
    assert await pipeline.gateway.entries() == []


async def test_order_older_than_its_keys_live_is_never_charged(pipeline: Pipeline) -> None:
    await fail(pipeline, occurred_at=now() - timedelta(hours=24))
    assert await pipeline.story("order-1") == ["PaymentFailed", NOTICE]
    failed, notice = await pipeline.events("order-1", "PaymentFailed", NOTICE)
    assert (failed.stage, failed.failure_code, failed.money) == (Stage.AUTHORIZE, "order_expired", MoneyState.NONE)
    assert not failed.retryable
    assert notice.kind is NotificationKind.PAYMENT_FAILED
    assert await pipeline.gateway.entries() == []

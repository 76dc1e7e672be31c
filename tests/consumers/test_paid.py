"""The way of an order that nothing happens to, and of the same order twice."""

import pytest

from schemas.fields import HIDDEN
from tests.consumers.claims import assert_all_is_well
from tests.consumers.harness import Pipeline
from tests.consumers.orders import TOTAL_MINOR, order, other_id

pytestmark = pytest.mark.integration


async def test_confirmed_order_is_authorized_reserved_captured_and_paid(pipeline: Pipeline) -> None:
    confirmed = order()
    await pipeline.publish(confirmed)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)

    _, authorized, reserved, paid = await pipeline.events("order-1")
    assert [e.TYPE for e in (authorized, reserved, paid)] == ["PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"]
    assert [e.order_version for e in (authorized, reserved, paid)] == [1, 2, 3]
    assert [e.causation_id for e in (authorized, reserved, paid)] == [
        confirmed.event_id,
        authorized.event_id,
        reserved.event_id,
    ]
    (entry,) = await pipeline.ledger("order-1")
    assert (authorized.amount_minor, authorized.currency, authorized.captured) == (TOTAL_MINOR, "EUR", False)
    assert authorized.transaction_id == paid.transaction_id == entry.transaction_id
    assert reserved.reservation_id == paid.reservation_id
    assert [(item.sku, item.quantity) for item in paid.lines] == [("SKU-1", 2), ("SKU-2", 1)]
    assert (paid.customer_id, paid.amount_minor, paid.livemode) == ("customer-1", TOTAL_MINOR, False)
    assert [effect.kind for effect in entry.effects] == ["authorize", "capture"]
    assert await pipeline.shelf("SKU-1") == (8, 0, 2)
    assert await pipeline.shelf("SKU-2") == (9, 0, 1)


async def test_money_captured_at_once_needs_no_capture(pipeline: Pipeline) -> None:
    await pipeline.publish(order(token="pm_wallet_captured"))
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    authorized, *_ = await pipeline.events("order-1", "PaymentAuthorized")
    assert authorized.captured
    assert await pipeline.rows("SELECT kind FROM operation") == [("authorize",)]


async def test_same_event_twice_and_same_content_under_another_id_charge_once(pipeline: Pipeline) -> None:
    confirmed = order()
    await pipeline.publish(confirmed, confirmed)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    again = confirmed.model_copy(update={"event_id": other_id("order-1"), "correlation_id": "another"})
    await pipeline.publish(confirmed, again)
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("order-1") == ["authorize", "capture"]
    assert await pipeline.story("order-1") == ["PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"]
    assert await pipeline.dead_letters() == []


@pytest.mark.parametrize("after_payment", [False, True])
async def test_same_order_id_with_other_content_is_refused_and_never_charged(
    pipeline: Pipeline, *, after_payment: bool
) -> None:
    confirmed = order()
    dearer = order(event_id=other_id("order-1"), tax_minor=90)
    if after_payment:
        await pipeline.publish(confirmed)
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.publish(dearer)
    else:
        await pipeline.publish(confirmed, dearer)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [("payments.authorize_payment", "conflict")]
    assert await pipeline.effects("order-1") == ["authorize", "capture"]
    (letter,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert dearer.payment_method is not None
    masked = dearer.payment_method.model_copy(update={"token": HIDDEN})
    shown = dearer.model_copy(update={"payment_method": masked})
    assert (letter.key, letter.value) == (b"order-1", pipeline.codec.encode(shown))
    header = letter.header
    assert header["payments_reason"] == b"conflict"
    assert header["kafka_dlt-original-topic"] == f"{pipeline.settings.topic_prefix}OrderConfirmed".encode()
    assert int.from_bytes(header["kafka_dlt-original-offset"], "big") == 1
    assert len(header["kafka_dlt-original-partition"]) == 4
    assert header["kafka_dlt-original-consumer-group"].endswith(b"payments.authorize_payment")
    assert b"new order id" in header["kafka_dlt-exception-message"]
    assert header["ce_type"] == b"OrderConfirmed"

"""Two messages with one event id and other contents: the first counts, the second is told, and never swallowed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from consumers.order_confirmed import authorize_payment
from deploy.auditing import run_audit
from outbox.audit import Invariant
from schemas.events import Event
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import method, order, retry
from tests.consumers.sources import ListSource, consume, journal, message_of
from tests.schemas.builders import event_id

pytestmark = pytest.mark.integration

GROUP = "payments.authorize_payment"
ONE_ID = event_id("one id for two")


def two_orders() -> tuple[Event, Event]:
    """Confirm two orders by one event id, as a publisher with a broken source of ids does."""
    return order("order-1", event_id=ONE_ID), order("order-2", event_id=ONE_ID)


async def taken_and_lost(pipeline: Pipeline) -> Invariant:
    """Ask the audit, topics and all, whether everything that was taken is accounted for."""
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.quiescent
    return report.invariants[9]


@pytest.mark.parametrize("batches", ["one batch", "two batches", "two processes"])
async def test_second_of_two_orders_with_one_event_id_is_a_dead_letter_and_the_audit_would_miss_it(
    make_pipeline: MakePipeline, batches: str
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first, second = two_orders()
    await pipeline.publish(first)
    if batches != "one batch":
        member = await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "order-1")
        if batches == "two processes":
            await member.leave()
    await pipeline.publish(second)
    if batches != "two batches":
        await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [(GROUP, "conflict")]
    assert await pipeline.rows("SELECT order_id, event_id, own_inbox, key FROM dead_letter") == [
        ("order-2", ONE_ID, False, b"order-2")
    ]
    assert await pipeline.status("order-2") is None
    assert (await taken_and_lost(pipeline)).holds

    await pipeline.rows("DELETE FROM dead_letter")
    await pipeline.rows("DELETE FROM event WHERE order_version = 0")
    topic = f"{pipeline.settings.topic_prefix}OrderConfirmed"
    assert (await taken_and_lost(pipeline)).violations == (
        f"{topic}-0 offset 1 is below what {GROUP} committed, and neither in its inbox nor refused",
    )


async def test_same_order_published_again_with_another_time_is_no_conflict(pipeline: Pipeline) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    later = order(occurred_at=now() + timedelta(seconds=1), correlation_id="another", causation_id=event_id("cause"))
    await pipeline.publish(later, order())
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == []
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


async def test_retry_with_a_known_event_id_and_another_method_is_a_dead_letter_and_charges_nobody(
    pipeline: Pipeline,
) -> None:
    await pipeline.publish(order(token="pm_card_chargeDeclined"))
    await pipeline.until_status("payment_failed", "order-1")
    again: dict[str, Any] = {"event_id": ONE_ID}
    await pipeline.publish(retry(token="pm_card_chargeDeclined", **again))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM orders WHERE attempt = 2 AND version = 2"), "declined")
    await pipeline.publish(retry(payment_method=method("pm_card_visa"), **again))
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [("payments.retry_payment", "conflict")]
    assert await pipeline.effects("order-1") == []


async def test_event_of_ours_that_comes_again_with_other_bytes_is_a_dead_letter(make_pipeline: MakePipeline) -> None:
    from consumers.payment_authorized import reserve_items

    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    member = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())
    await pipeline.until_status("payment_authorized", "order-1")
    await member.leave()
    (true,) = await journal(pipeline, reserve_items)
    event = pipeline.codec.decode("PaymentAuthorized", true.key, true.value)
    forged = message_of(pipeline, event.model_copy(update={"amount_minor": 1}), offset=7)

    await _consume(pipeline, [true, forged, true])
    await _consume(pipeline, [true, forged])
    assert await pipeline.rows("SELECT message_offset, reason, own_inbox FROM dead_letter") == [(7, "conflict", False)]
    assert await pipeline.status("order-1") == "items_reserved"


async def _consume(pipeline: Pipeline, messages: Sequence[Any]) -> None:
    from consumers.payment_authorized import reserve_items

    engine = pipeline.engine(pipeline.store())
    await consume(engine, reserve_items, ListSource(messages, len(messages)))

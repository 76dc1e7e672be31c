"""Refunds of somebody else, and late copies of ours, in the real store: booked once, whatever way we hear of them."""

from functools import partial
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from domain.failure_codes import FailureCode
from domain.ids import OperationId, OrderId
from domain.notices import Notice
from domain.operation import OperationKind
from domain.outcome import Declined, Unknown
from domain.ruling import No, Ruling, Word
from domain.values import replace
from schemas.events import Line
from tests.consumers.claims import assert_the_audit_holds
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order, refund
from tests.consumers.telling import TOTAL, join, paid, story, told
from tests.consumers.test_notices import until_fate

pytestmark = pytest.mark.integration

NOWHERE = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)


async def test_a_refund_in_the_dashboard_is_booked_once_and_the_order_stays_paid(shop: Pipeline) -> None:
    intent = await paid(shop)
    first = shop.gateway.refund_elsewhere(intent, 1_000)
    await shop.store().notices.keep([told(1, "charge.refunded", intent, "ch_1", "order-1")])
    await until_fate(shop, "applied", "evt_1")
    second = shop.gateway.refund_elsewhere(intent, 2_080)
    await shop.store().notices.keep([told(n, "refund.updated", intent, second) for n in (2, 3)])
    await until_fate(shop, "applied", "evt_2", "evt_3")

    refunds = await shop.events("order-1", "PaymentRefunded")
    assert [(each.refund_id, each.amount_minor, each.request_id) for each in refunds] == [
        (first, 1_000, None),
        (second, 2_080, None),
    ]
    assert await shop.status("order-1") == "paid_and_confirmed"
    assert await shop.rows("SELECT refunded_minor FROM attempt") == [(TOTAL,)]
    await shop.until_quiet()
    await assert_the_audit_holds(shop)


async def test_a_refund_that_a_lagging_list_lacks_is_booked_though_another_one_is_booked_at_once(
    shop: Pipeline,
) -> None:
    intent = await paid(shop)
    first = shop.gateway.refund_elsewhere(intent, 1_000)
    before = await shop.gateway.news_of(intent, with_disputes=False)
    second = shop.gateway.refund_elsewhere(intent, 500)
    assert before is not None
    shop.gateway.tells[intent] = {"refunds": before.refunds}
    await shop.store().notices.keep(
        [told(1, "refund.created", intent, first), told(2, "refund.created", intent, second)]
    )
    await until_fate(shop, "applied", "evt_1")
    await until_fate(shop, "kept", "evt_2")
    assert await shop.value("SELECT refunded_minor FROM attempt") == 1_000

    shop.gateway.tells.clear()
    await until_fate(shop, "applied", "evt_2")
    assert [each.refund_id for each in await shop.events("order-1", "PaymentRefunded")] == [first, second]
    await assert_the_audit_holds(shop)


async def test_a_refund_that_a_lagging_list_shows_as_pending_is_booked_when_it_shows_more(shop: Pipeline) -> None:
    intent = await paid(shop)
    refund_id = shop.gateway.refund_elsewhere(intent, 1_000)
    news = await shop.gateway.news_of(intent, with_disputes=False)
    assert news is not None
    shop.gateway.tells[intent] = {"refunds": tuple(replace(each, state="pending") for each in news.refunds)}
    shop.gateway.questions.clear()
    await shop.store().notices.keep([told(1, "refund.updated", intent, refund_id)])

    async def asked_twice() -> bool:
        await shop.rows(
            "UPDATE gateway_notice SET received_at = now() - interval '1 minute', ask_at = least(ask_at, now())"
        )
        return len(shop.gateway.questions) > 1 or not await shop.has("SELECT 1 FROM gateway_notice WHERE fate = 'kept'")

    await shop.until(asked_twice, "it is asked about twice")
    shop.gateway.tells.clear()

    async def applied() -> bool:
        # Again and again: an answer that is still on its way puts the next question off for as long as it waited.
        await shop.rows("UPDATE gateway_notice SET ask_at = least(ask_at, now()) WHERE fate = 'kept'")
        return await shop.has("SELECT 1 FROM gateway_notice WHERE fate = 'applied'")

    await shop.until(applied, "it is applied")
    assert await shop.value("SELECT refunded_minor FROM attempt") == 1_000
    await assert_the_audit_holds(shop)


@pytest.mark.parametrize("name", ["refund.created", "refund.updated", "charge.refunded"])
async def test_a_late_copy_of_a_refund_that_a_person_paid_past_the_gateway_is_never_called_known(
    shop: Pipeline, name: str
) -> None:
    """The customer has the money twice, and the books have no room for it: an operator must hear."""
    intent = await paid(shop)
    shop.gateway.says["order-1"] = Said(OperationKind.REFUND, Declined(FailureCode.GATEWAY_REFUSED), executed=False)
    await shop.publish(refund("order-1", "R-1"))
    await shop.until_status("manual_review", "order-1")
    ruling = Ruling(Word.EXECUTED, "sent by the bank", "alice", "outside:transfer 7")
    assert not isinstance(await shop.resolver().resolve(OrderId("order-1"), ruling), No)
    assert await shop.value("SELECT refunded_minor FROM attempt") == TOTAL

    query = "SELECT operation_id FROM operation WHERE kind = 'refund' AND state = 'declined'"
    ours = str(await shop.value(query))
    late = shop.gateway.refund_elsewhere(intent, TOTAL, operation_id=ours)
    copy = Notice("evt_1", name, now(), late, intent, OrderId("order-1"), OperationId(UUID(ours)))
    await shop.store().notices.keep([copy])

    async def ended() -> bool:
        return not await shop.has("SELECT 1 FROM gateway_notice WHERE fate = 'waiting'")

    await shop.until(ended, "it is looked at")
    with capture_logs() as log:
        await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day', ask_at = now()")

        async def rung() -> bool:
            known = await shop.has("SELECT 1 FROM gateway_notice WHERE fate = 'known'")
            return known or "notice_kept" in {line.get("reason") for line in log if line.get("alarm")}

        await shop.until(rung, "an operator is called")
    assert await shop.value("SELECT fate FROM gateway_notice") == "kept"


async def test_a_late_copy_of_a_refund_call_that_had_ended_is_booked_and_rings(shop: Pipeline) -> None:
    """Others had given all back, so our refund was refused; theirs failed since, and a copy of ours came through."""
    intent = await paid(shop)
    elsewhere = shop.gateway.refund_elsewhere(intent, TOTAL)
    await shop.publish(refund("order-1", "R-1"))

    async def ended() -> bool:
        return await shop.has("SELECT 1 FROM operation WHERE kind = 'refund' AND state = 'declined'")

    await shop.until(ended, "the refund has ended")
    ours = str(await shop.value("SELECT operation_id FROM operation WHERE kind = 'refund' AND state = 'declined'"))
    shop.gateway.fail_refunds(intent)
    await shop.store().notices.keep([told(1, "refund.failed", intent, elsewhere)])
    await until_fate(shop, "applied", "evt_1")
    late = shop.gateway.refund_elsewhere(intent, TOTAL, operation_id=ours)
    copy = Notice("evt_2", "refund.created", now(), late, intent, OrderId("order-1"), OperationId(UUID(ours)))
    with capture_logs() as log:
        await shop.store().notices.keep([copy])
        await until_fate(shop, "applied", "evt_2")

    assert "refund_made_late" in {line.get("reason") for line in log if line.get("alarm")}
    refunds = await shop.events("order-1", "PaymentRefunded")
    assert [(each.refund_id, each.request_id) for each in refunds] == [(elsewhere, None), (late, None)]
    assert await shop.value("SELECT refunded_minor FROM attempt") == TOTAL
    assert await shop.status("order-1") == "paid_and_confirmed"
    await shop.until_quiet()
    await assert_the_audit_holds(shop)


async def test_a_wrong_id_that_nobody_could_look_up_is_found_though_the_gateway_tells_nothing(shop: Pipeline) -> None:
    await paid(shop)
    shop.gateway.says["order-1"] = Said(OperationKind.REFUND, Declined(FailureCode.GATEWAY_REFUSED), executed=False)
    await shop.publish(refund("order-1", "R-1", amount_minor=1_000))
    await shop.until_status("manual_review", "order-1")
    ruling = Ruling(Word.EXECUTED, "seen in the dashboard", "alice", "re_wrong")
    await shop.resolver().resolve(OrderId("order-1"), ruling, try_only=True)
    assert not await shop.has("SELECT 1 FROM gateway_notice"), "a trial keeps nothing"
    assert not isinstance(await shop.resolver().resolve(OrderId("order-1"), ruling), No)
    assert await shop.value("SELECT refunded_minor FROM attempt") == 1_000

    # A quarter of an hour passes.
    await shop.rows("UPDATE operation SET settled_at = settled_at - interval '15 minutes'")
    await shop.rows("UPDATE gateway_notice SET received_at = received_at - interval '15 minutes', ask_at = now()")

    await shop.until_status("manual_review", "order-1")
    (failed,) = await shop.events("order-1", "PaymentRefundFailed")
    assert (failed.refund_id, failed.request_id, failed.reason) == ("re_wrong", "R-1", "not_at_gateway")
    assert await shop.value("SELECT refunded_minor FROM attempt") == 0


async def test_it_waits_until_the_order_is_at_rest(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.says["order-1"] = Said(OperationKind.CAPTURE, Unknown("connection reset"), executed=True)
    await join(pipeline)
    await pipeline.publish(order("order-1"))

    async def captured() -> bool:
        return await pipeline.effects("order-1") == ["authorize", "capture"]

    await pipeline.until(captured, "captured")
    intent = str(await pipeline.value("SELECT transaction_id FROM attempt"))
    refund_id = pipeline.gateway.refund_elsewhere(intent, 1_000)
    await pipeline.store().notices.keep([told(1, "refund.updated", intent, refund_id)])

    async def asked() -> bool:
        return intent in pipeline.gateway.questions

    await pipeline.until(asked, "asked")
    await until_fate(pipeline, "kept", "evt_1")
    del pipeline.gateway.says["order-1"]
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await until_fate(pipeline, "applied", "evt_1")
    assert (await pipeline.story("order-1"))[-2:] == ["PaidAndConfirmed", "PaymentRefunded"]
    await pipeline.until_quiet()
    await assert_the_audit_holds(pipeline)


async def test_the_daily_list_finds_a_foreign_refund_of_which_nothing_was_told(shop: Pipeline) -> None:
    intent = await paid(shop)
    refund_id = shop.gateway.refund_elsewhere(intent, 500)
    shop.gateway.listed += [replace(told("x", "refund.updated", intent, refund_id), notice_id=refund_id)] * 2
    await join(shop)
    await until_fate(shop, "applied", refund_id)
    await join(shop)
    assert await story(shop) == ["PaymentRefunded"]


async def test_a_foreign_refund_that_failed_is_asked_about_again_if_the_answer_lagged_behind_the_list(
    shop: Pipeline,
) -> None:
    intent = await paid(shop)
    refund_id = shop.gateway.refund_elsewhere(intent, 500)
    await shop.store().notices.keep([told(1, "refund.updated", intent, refund_id)])
    await until_fate(shop, "applied", "evt_1")
    news = await shop.gateway.news_of(intent, with_disputes=False)
    assert news is not None
    shop.gateway.fail_refunds(intent)
    shop.gateway.tells[intent] = {"refunds": news.refunds}
    failed = replace(told("x", "refund.failed", intent, refund_id), notice_id=f"{refund_id}:failed")
    await shop.store().notices.keep([failed])
    await until_fate(shop, "kept", failed.notice_id)
    await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '15 minutes', ask_at = now()")
    await until_fate(shop, "known", failed.notice_id)

    shop.gateway.tells.clear()
    shop.gateway.listed.append(failed)
    await join(shop)

    await shop.until(partial(is_told, shop, "PaymentRefundFailed"), "it is booked as failed")
    assert await shop.value("SELECT refunded_minor FROM attempt") == 0
    await assert_the_audit_holds(shop)


async def is_told(pipeline: Pipeline, kind: str) -> bool:
    return bool(await pipeline.events("order-1", kind))


async def test_a_refund_of_somebody_else_that_failed_an_order_and_fails_later_goes_back_by_us(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(refund_recheck_s=86_400)
    first = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order("order-1", "pm_wallet_captured", lines=NOWHERE))
    await pipeline.until_status("payment_authorized", "order-1")
    await first.leave()
    intent, captured = (await pipeline.rows("SELECT transaction_id, captured_minor FROM attempt"))[0]
    refund_id = pipeline.gateway.refund_elsewhere(intent, captured)
    await join(pipeline)
    await pipeline.until_status("payment_failed", "order-1")
    pipeline.gateway.fail_refunds(intent)
    await pipeline.store().notices.keep([told(1, "refund.failed", intent, refund_id)])
    await until_fate(pipeline, "applied", "evt_1")

    async def sent() -> bool:
        return len(await pipeline.events("order-1", "PaymentRefunded")) == 2

    await pipeline.until(sent, "by us")
    (event,) = await pipeline.events("order-1", "PaymentRefundFailed")
    assert (event.refund_id, event.amount_minor) == (refund_id, captured)
    await pipeline.until_quiet()
    await assert_the_audit_holds(pipeline)

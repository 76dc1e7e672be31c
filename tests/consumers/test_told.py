"""What the gateway tells unasked, in the real store: asked about once, booked once, told to others."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from deploy.views.order_json import order_document
from deploy.views.order_text import order_lines
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.news import Dispute
from domain.notices import Notice
from domain.operation import OperationKind
from domain.outcome import Declined, Unknown
from domain.values import replace
from outbox.operators.queries import read_order, snapshot
from schemas.events import Line
from tests.consumers.claims import assert_all_is_well, assert_the_audit_holds
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Member, Pipeline, now
from tests.consumers.orders import order
from tests.consumers.test_notices import until_fate

pytestmark = pytest.mark.integration

TOTAL = 3_080
NOWHERE = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
OPENED_AT = datetime(2026, 3, 2, tzinfo=UTC)


def told(number: int | str, name: str, intent_id: str, object_id: str = "dp_1", order_id: str | None = None) -> Notice:
    """Build a notice about an object without metadata of ours, unless it names an order."""
    return Notice(
        f"evt_{number}", name, now(), object_id, intent_id, None if order_id is None else OrderId(order_id), None
    )


def dispute(intent_id: str, status: str = "needs_response", *, withdrawn: bool = True, name: str = "dp_1") -> Dispute:
    return Dispute(name, intent_id, status, TOTAL, "EUR", "fraudulent", withdrawn, not withdrawn, OPENED_AT)


async def join(pipeline: Pipeline, **rules: Any) -> Member:
    return await pipeline.join(ports={"notices": pipeline.store().notices}, **rules)


@pytest_asyncio.fixture
async def shop(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with one process and goods for all, whose refunds are listed at its start only."""
    pipeline = await make_pipeline(refund_recheck_s=86_400)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    await join(pipeline)
    return pipeline


async def paid(pipeline: Pipeline, order_id: str = "order-1") -> str:
    await pipeline.publish(order(order_id))
    await pipeline.until_status("paid_and_confirmed", order_id)
    return str(await pipeline.value("SELECT transaction_id FROM attempt WHERE order_id = %s", order_id))


async def story(pipeline: Pipeline, order_id: str = "order-1") -> list[str]:
    return (await pipeline.story(order_id))[3:]


async def test_a_storm_of_notices_of_one_dispute_is_one_question_and_told_once(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    names = ("created", "updated", "funds_withdrawn")
    await shop.store().notices.keep([told(n, f"charge.dispute.{names[n % 3]}", intent) for n in range(300)])

    await until_fate(shop, "applied", *(f"evt_{n}" for n in range(300)))

    assert await story(shop) == ["PaymentDisputed"]
    assert shop.gateway.questions == [intent]
    assert await shop.rows("SELECT order_id, dispute_id, status, amount_minor, funds_withdrawn, told FROM dispute") == [
        ("order-1", "dp_1", "needs_response", TOTAL, True, "WITHDRAWN")
    ]
    assert await shop.status("order-1") == "paid_and_confirmed"
    with snapshot(str(shop.settings.sqlalchemy_url())) as connection:
        stored = read_order(connection, "order-1")
    assert stored is not None
    (shown,) = order_document(stored, [])["disputes"]
    assert shown | {"dispute_id": "dp_1", "status": "needs_response", "refundable": False} == shown
    assert any("dp_1" in line and "withdrawn" in line for line in order_lines(stored, [], now()))
    await assert_all_is_well(shop)


async def test_a_dispute_is_followed_to_its_end_and_opened_again(shop: Pipeline) -> None:
    intent = await paid(shop)
    turns = [
        dispute(intent, "warning_needs_response", withdrawn=False),
        dispute(intent),
        dispute(intent, "won", withdrawn=False),
        dispute(intent, "appeal_under_review"),
        dispute(intent, "lost"),
    ]
    for number, turn in enumerate(turns):
        shop.gateway.tells[intent] = {"disputes": (turn,)}
        await shop.store().notices.keep([told(number, "charge.dispute.updated", intent)])
        await until_fate(shop, "applied", f"evt_{number}")
    opened, closed = "PaymentDisputed", "PaymentDisputeClosed"
    assert await story(shop) == [opened, opened, closed, opened, closed]
    ends = await shop.events("order-1", closed)
    assert [(end.outcome, end.funds_withdrawn) for end in ends] == [("WON", False), ("LOST", True)]
    await assert_all_is_well(shop)


async def test_what_is_not_ours_is_dropped_and_an_order_that_is_not_there_is_waited_for(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"order_id": None}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])
    await until_fate(shop, "foreign", "evt_1")

    shop.gateway.tells[intent] = {"order_id": "restored-later", "disputes": (dispute(intent),)}
    with capture_logs() as log:
        await shop.store().notices.keep([told(2, "charge.dispute.created", intent)])
        await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day' WHERE notice_id = 'evt_2'")
        await until_fate(shop, "unknown_order", "evt_2")
    assert [line["reason"] for line in log if line.get("alarm")] == ["notice_orphaned"]
    assert await story(shop) == []


async def test_a_transaction_that_the_gateway_does_not_have_rings_once_and_ends(shop: Pipeline) -> None:
    """It is of another account: nobody here can ever do anything about it."""
    with capture_logs() as log:
        await shop.store().notices.keep([told(1, "charge.dispute.created", "pi_of_another_account")])
        await until_fate(shop, "kept", "evt_1")
        await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day', ask_at = now()")
        await until_fate(shop, "unknown_order", "evt_1")
    assert [line["reason"] for line in log if line.get("alarm")] == ["notice_orphaned"]


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
    await until_fate(shop, "known", failed.notice_id)

    shop.gateway.tells.clear()
    shop.gateway.listed.append(failed)
    await join(shop)

    await shop.until(partial(is_told, shop, "PaymentRefundFailed"), "it is booked as failed")
    assert await shop.value("SELECT refunded_minor FROM attempt") == 0
    await assert_the_audit_holds(shop)


async def is_told(pipeline: Pipeline, kind: str) -> bool:
    return bool(await pipeline.events("order-1", kind))


async def test_a_warning_of_fraud_rings_and_stands_in_the_timeline(shop: Pipeline) -> None:
    intent = await paid(shop)
    with capture_logs() as log:
        await shop.store().notices.keep([told(1, "radar.early_fraud_warning.created", intent, "issfr_1")])
        await until_fate(shop, "applied", "evt_1")
    assert [(line["reason"], line["order_id"]) for line in log if line.get("alarm")] == [("fraud_warning", "order-1")]
    assert await story(shop) == []
    with snapshot(str(shop.settings.sqlalchemy_url())) as connection:
        stored = read_order(connection, "order-1")
    assert stored is not None
    document = order_document(stored, [])
    assert [(each["type"], each["object_id"], each["fate"]) for each in document["told"]] == [
        ("radar.early_fraud_warning.created", "issfr_1", "applied")
    ]
    assert any("radar.early_fraud_warning.created" in line for line in order_lines(stored, [], now()))


async def test_money_captured_for_a_failed_order_goes_back(shop: Pipeline) -> None:
    """The customer's bank said no as far as we know; in the dashboard somebody took the money nevertheless."""
    no = Declined(FailureCode.CARD_DECLINED, "generic_decline")
    shop.gateway.says["order-1"] = Said(OperationKind.AUTHORIZE, no, executed=True)
    await shop.publish(order("order-1", "pm_wallet_captured"))
    await shop.until_status("payment_failed", "order-1")
    ((entry),) = [e for e in await shop.gateway.entries() if e.order_id == "order-1"]
    with capture_logs() as log:
        captured = told(1, "payment_intent.succeeded", entry.transaction_id, entry.transaction_id, "order-1")
        await shop.store().notices.keep([captured])
        await until_fate(shop, "applied", "evt_1")
    assert "money_unwanted" in {line.get("reason") for line in log}

    async def back() -> bool:
        return "PaymentRefunded" in await shop.story("order-1")

    await shop.until(back, "the money is back")
    assert await shop.effects("order-1") == ["authorize", "capture", "refund"]
    assert await shop.status("order-1") == "payment_failed"
    await assert_all_is_well(shop)


async def test_a_gateway_that_says_nothing_is_asked_again_and_nothing_is_lost(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.silent = True
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])

    async def asked() -> bool:
        return bool(shop.gateway.questions)

    await shop.until(asked, "asked")
    await until_fate(shop, "kept", "evt_1")
    shop.gateway.silent = False
    await join(shop)  # the first process waits for half a minute before it asks again
    await until_fate(shop, "applied", "evt_1")


async def test_what_leads_nowhere_rings_after_a_day(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute("pi_strange"),), "transaction_id": "pi_strange"}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])
    await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '25 hours', ask_at = now()")
    with capture_logs() as log:

        async def rang() -> bool:
            return "notice_kept" in {line.get("reason") for line in log}

        await shop.until(rang, "rang")
    ((ask_at, at),) = await shop.rows("SELECT ask_at, now() FROM gateway_notice")
    assert ask_at - at > timedelta(hours=23)


async def test_what_the_release_before_kept_is_asked_about_too(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    columns = "notice_id, type, occurred_at, object_id, intent_id, fate"
    values = f"'evt_old', 'charge.dispute.created', now() - interval '9 days', 'dp_1', '{intent}', 'kept'"
    await shop.rows(f"INSERT INTO gateway_notice ({columns}) VALUES ({values})")
    await until_fate(shop, "applied", "evt_old")
    assert await story(shop) == ["PaymentDisputed"]


async def test_an_order_that_somebody_holds_holds_up_no_other(shop: Pipeline) -> None:
    intents = {name: await paid(shop, name) for name in ("held", "free")}
    for name, intent in intents.items():
        shop.gateway.tells[intent] = {"disputes": (dispute(intent, name=f"dp_{name}"),)}
    async with await psycopg.AsyncConnection.connect(shop.settings.psycopg_url()) as somebody:
        await somebody.execute("SELECT 1 FROM orders WHERE order_id = 'held' FOR UPDATE")
        await shop.store().notices.keep([told(n, "charge.dispute.created", i) for n, i in intents.items()])
        await until_fate(shop, "applied", "evt_free")
        await until_fate(shop, "kept", "evt_held")
    await until_fate(shop, "applied", "evt_held")


async def test_a_refund_of_somebody_else_that_failed_an_order_and_fails_later_goes_back_by_us(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(refund_recheck_s=86_400, sandbox_pending_s=2.0)
    first = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order("order-1", "pm_fault_refund_fails_later", lines=NOWHERE))
    await pipeline.until_status("payment_authorized", "order-1")
    await first.leave()
    intent, captured = (await pipeline.rows("SELECT transaction_id, captured_minor FROM attempt"))[0]
    refund_id = pipeline.gateway.refund_elsewhere(intent, captured)
    await join(pipeline)
    await pipeline.until_status("payment_failed", "order-1")

    async def failed() -> bool:
        news = await pipeline.gateway.news_of(intent, with_disputes=False)
        return news is not None and [each.state for each in news.refunds] == ["failed"]

    await pipeline.until(failed, "it fails")
    await pipeline.store().notices.keep([told(1, "refund.failed", intent, refund_id)])
    await until_fate(pipeline, "applied", "evt_1")

    async def sent() -> bool:
        return len(await pipeline.events("order-1", "PaymentRefunded")) == 2

    await pipeline.until(sent, "by us")
    (event,) = await pipeline.events("order-1", "PaymentRefundFailed")
    assert (event.refund_id, event.amount_minor) == (refund_id, captured)
    await pipeline.until_quiet()
    await assert_the_audit_holds(pipeline)

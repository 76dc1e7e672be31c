"""Refunds that fail after they have succeeded, in the real store: found by asking, booked once, ended by a person."""

import pytest

from consumers.runtime.resolving import Resolved
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.notices import Notice
from domain.operation import OperationKind
from domain.outcome import Declined
from domain.ruling import Ruling, Word
from schemas.events import Line
from tests.consumers.claims import assert_all_is_well, assert_the_audit_holds
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import now
from tests.consumers.orders import TOTAL_MINOR, cancel, order, refund
from tests.consumers.test_refunding import states, until_ended

pytestmark = pytest.mark.integration

NOWHERE = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
LATE, GOOD = [f"late-{n}" for n in range(5)], [f"good-{n}" for n in range(5)]


async def test_a_refund_that_fails_later_comes_to_a_person_once_and_what_they_say_ends_it(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(refund_recheck_s=0.2, sandbox_pending_s=3.0)
    first = await pipeline.join(sweep=False)
    await pipeline.publish(
        *(order(name, "pm_fault_refund_fails_later", lines=NOWHERE) for name in LATE),
        *(order(name, "pm_wallet_captured", lines=NOWHERE) for name in GOOD),
    )
    await pipeline.until_status("payment_failed", *LATE, *GOOD)
    await first.leave()

    members = [await pipeline.join() for _ in range(2)]
    await pipeline.until_status("manual_review", *LATE)
    await pipeline.until_status("payment_failed", *GOOD)
    said = await pipeline.rows("SELECT order_id FROM event WHERE topic LIKE '%%PaymentRefundFailed' ORDER BY 1")
    assert [order_id for (order_id,) in said] == LATE
    for name in LATE:
        by_bank = Ruling(Word.EXECUTED, "sent by bank transfer", "alice", f"re_by_hand_{name[-1]}")
        assert isinstance(await pipeline.resolver().resolve(OrderId(name), by_bank), Resolved)
    await pipeline.until_status("payment_failed", *LATE)
    await pipeline.until_quiet()
    for member in members:
        await member.leave()
    refunded = "SELECT count(*) FROM event WHERE topic LIKE '%%PaymentRefunded' AND order_id LIKE 'late-%%'"
    assert await pipeline.value(refunded) == 2 * len(LATE), "once by us, once by hand"


async def test_while_it_is_not_settled_everything_adds_up(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(refund_recheck_s=0.2, sandbox_pending_s=0.5)
    await pipeline.join()
    await pipeline.publish(order("late", "pm_fault_refund_fails_later", lines=NOWHERE))
    await pipeline.until_status("manual_review", "late")
    await assert_all_is_well(pipeline)


async def test_the_gateways_word_makes_it_be_looked_for_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(refund_recheck_s=86_400, sandbox_pending_s=0.5)
    await pipeline.join(ports={"notices": pipeline.store().notices})
    await pipeline.publish(order("late", "pm_fault_refund_fails_later", lines=NOWHERE))
    await pipeline.until_status("payment_failed", "late")
    refund_id, intent_id = (await pipeline.rows("SELECT refund_id, transaction_id FROM attempt"))[0]
    operation_id = await pipeline.value("SELECT operation_id FROM operation WHERE kind = 'refund'")
    told = Notice("evt_1", "refund.failed", now(), refund_id, intent_id, OrderId("late"), operation_id)

    assert await pipeline.store().notices.keep([told]) == 1

    await pipeline.until_status("manual_review", "late")


async def test_what_others_gave_back_meanwhile_is_not_taken_off_by_a_failure_that_a_list_tells(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(refund_recheck_s=86_400)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    notices = {"notices": pipeline.store().notices}
    first = await pipeline.join(ports=notices)
    await pipeline.publish(order("order-1"))
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.publish(refund(amount_minor=1_000, request_id="R-1"))
    await until_ended(pipeline, "R-1")
    transaction_id = await pipeline.value("SELECT transaction_id FROM attempt")
    pipeline.gateway.fail_refunds(transaction_id)
    foreign = pipeline.gateway.refund_elsewhere(transaction_id, TOTAL_MINOR - 500)
    await pipeline.publish(refund(amount_minor=TOTAL_MINOR - 1_000, request_id="R-2"))
    await until_ended(pipeline, "R-2")
    assert await states(pipeline) == {"R-1": "done", "R-2": "EXCEEDS_KEPT"}
    await first.leave()

    await pipeline.join(ports=notices)  # which looks for failed refunds first

    await pipeline.until_status("manual_review", "order-1")
    told = [(e.refund_id, e.amount_minor) for e in await pipeline.events("order-1", "PaymentRefunded")]
    assert told[1:] == [(foreign, TOTAL_MINOR - 1_500), (foreign, 1_000)]
    (failed,) = await pipeline.events("order-1", "PaymentRefundFailed")
    assert failed.amount_minor == 1_000
    assert await pipeline.value("SELECT refunded_minor FROM attempt") == TOTAL_MINOR - 500
    assert sum(entry.refunded_minor for entry in await pipeline.ledger("order-1")) == TOTAL_MINOR - 500
    assert await pipeline.rows("SELECT type, fate FROM gateway_notice") == [("refund.failed", "applied")]


async def test_what_was_paid_past_the_gateway_is_not_given_back_again_behind_a_refund_of_somebody_else(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(refund_recheck_s=86_400)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pipeline.publish(order("order-1"))
    await pipeline.until_status("paid_and_confirmed", "order-1")
    no = Declined(FailureCode.GATEWAY_REFUSED)
    pipeline.gateway.says = {OrderId("order-1"): Said(OperationKind.REFUND, no, executed=False)}
    await pipeline.publish(refund(amount_minor=80, request_id="R-1"))
    await pipeline.until_status("manual_review", "order-1")
    pipeline.gateway.says = {}
    by_bank = Ruling(Word.EXECUTED, "sent by bank transfer", "alice", "outside:transfer 7")
    assert isinstance(await pipeline.resolver().resolve(OrderId("order-1"), by_bank), Resolved)
    transaction_id = await pipeline.value("SELECT transaction_id FROM attempt")
    foreign = pipeline.gateway.refund_elsewhere(transaction_id, 500)

    await pipeline.publish(cancel("order-1"))

    await pipeline.until_status("cancelled", "order-1")
    told = [(e.refund_id, e.amount_minor) for e in await pipeline.events("order-1", "PaymentRefunded")]
    assert told[:2] == [("outside:transfer 7", 80), (foreign, 500)]
    assert [amount for _, amount in told[2:]] == [TOTAL_MINOR - 580]
    (entry,) = await pipeline.ledger("order-1")
    assert entry.kept_minor == 80, "the customer has it by bank transfer"
    await pipeline.until_quiet()
    await assert_the_audit_holds(pipeline)

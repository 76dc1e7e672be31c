"""Refunds on request on real servers: each once, racing, never more than is kept; goods back; two persons; trouble."""

import asyncio
from random import Random
from typing import Any, Final

import pytest
import pytest_asyncio

from consumers.runtime.asking import Asked
from domain.approval import Person
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operation import OperationKind
from domain.outcome import Declined, Unknown
from domain.ruling import No, Ruling, Word
from schemas.events import Item, Line, NotificationKind
from tests.consumers.claims import assert_all_is_well, assert_the_audit_holds
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import FREE, TOTAL_MINOR, cancel, order, refund

pytestmark = pytest.mark.integration

K = OperationKind
NOWHERE: Final = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
REFUSED: Final = Declined(FailureCode.GATEWAY_REFUSED, "generic_decline", "pi_1")
ALICE, BOB = Person("alice", "payments"), Person("bob", "payments")


@pytest_asyncio.fixture
async def shop(pipeline: Pipeline) -> Pipeline:
    """Make a running pipeline with one paid order."""
    await pay(pipeline)
    return pipeline


async def pay(pipeline: Pipeline, order_id: str = "order-1", token: str = "pm_card_visa", **fields: Any) -> None:
    await pipeline.publish(order(order_id, token, **fields))
    await pipeline.until_status("paid_and_confirmed", order_id)


async def states(pipeline: Pipeline, order_id: str = "order-1") -> dict[str, str]:
    """Return where each request stands; of a refused one, why."""
    query = "SELECT request_id, coalesce(refused, state) FROM order_request WHERE order_id = %s ORDER BY arrival"
    return dict(await pipeline.rows(query, order_id))


async def until_ended(pipeline: Pipeline, *request_ids: str) -> None:
    async def ended() -> bool:
        query = "SELECT count(*) FROM order_request WHERE request_id = ANY(%s) AND ended_at IS NOT NULL"
        return bool(await pipeline.value(query, list(request_ids)) == len(request_ids))

    await pipeline.until(ended, f"requests {request_ids} ended")


async def until_state(pipeline: Pipeline, request_id: str, state: str) -> None:
    async def there() -> bool:
        return await pipeline.has("SELECT 1 FROM order_request WHERE request_id = %s AND state = %s", request_id, state)

    await pipeline.until(there, f"{request_id} is {state}")


async def refunded(pipeline: Pipeline, order_id: str = "order-1") -> list[tuple[str | None, int]]:
    events = await pipeline.events(order_id, "PaymentRefunded")
    return [(event.request_id, event.amount_minor) for event in events]


async def refusals(pipeline: Pipeline, order_id: str = "order-1") -> list[tuple[str, str]]:
    return [(e.request_id, str(e.reason)) for e in await pipeline.events(order_id, "RefundRefused")]


async def given_back(pipeline: Pipeline, order_id: str = "order-1") -> int:
    return sum(entry.refunded_minor for entry in await pipeline.ledger(order_id))


async def test_a_part_goes_back_with_its_goods_and_the_order_stays_paid(shop: Pipeline) -> None:
    await shop.publish(refund(amount_minor=1_000, lines=(Item(sku="SKU-1", quantity=1),)))
    await until_ended(shop, "R-1")
    await assert_all_is_well(shop)
    assert await shop.status("order-1") == "paid_and_confirmed"
    assert await refunded(shop) == [("R-1", 1_000)]
    (restocked,) = await shop.events("order-1", "ItemsRestocked")
    assert [(line.sku, line.quantity) for line in restocked.lines] == [("SKU-1", 1)]
    assert await shop.shelf("SKU-1") == (9, 0, 1)
    (notice,) = await shop.events("order-1", "CustomerNotificationRequested")
    assert (notice.kind, notice.amount_minor) == (NotificationKind.REFUNDED, 1_000)
    assert await given_back(shop) == 1_000


async def test_the_same_request_twice_is_one_and_with_other_content_a_dead_letter(shop: Pipeline) -> None:
    await shop.publish(refund(amount_minor=1_000), refund(amount_minor=1_000))
    await until_ended(shop, "R-1")
    again = refund(amount_minor=1_000)
    await shop.publish(again.model_copy(update={"event_id": refund(request_id="another event").event_id}))
    other = refund(amount_minor=900).model_copy(update={"event_id": refund(request_id="one more event").event_id})
    await shop.publish(other)

    async def refused() -> bool:
        return await shop.dead_letters() == [("payments.refund_payment", "conflict")]

    await shop.until(refused, "a dead letter")
    await assert_all_is_well(shop)
    assert await refunded(shop) == [("R-1", 1_000)]


async def test_racing_requests_never_give_back_more_than_is_kept(shop: Pipeline) -> None:
    amounts = {f"R-{n}": 700 for n in range(6)}
    await asyncio.gather(*(shop.publish(refund(request_id=name, amount_minor=n)) for name, n in amounts.items()))
    await until_ended(shop, *amounts)
    await shop.publish(refund(request_id="R-all"))
    await until_ended(shop, "R-all")
    await assert_all_is_well(shop)
    ends = await states(shop)
    assert sorted(ends[name] for name in amounts) == ["EXCEEDS_KEPT", "EXCEEDS_KEPT", *["done"] * 4]
    assert await given_back(shop) == TOTAL_MINOR
    assert (await refunded(shop))[-1] == ("R-all", TOTAL_MINOR - 2_800)


async def test_a_pending_refund_blocks_nothing(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(sandbox_pending_s=2)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join(pending_poll_s=0.3)
    await pay(pipeline, token="pm_fault_refund_pending")
    await pipeline.publish(refund(request_id="R-1", amount_minor=2_000))

    async def pending() -> bool:
        return await pipeline.has("SELECT 1 FROM operation WHERE kind = 'refund' AND state = 'pending'")

    await pipeline.until(pending, "a pending refund")
    await pipeline.publish(refund(request_id="R-2", amount_minor=1_080), refund(request_id="R-3", amount_minor=1))
    await until_ended(pipeline, "R-3")
    await until_ended(pipeline, "R-1", "R-2")
    await assert_all_is_well(pipeline)
    assert await states(pipeline) == {"R-1": "done", "R-2": "done", "R-3": "EXCEEDS_KEPT"}
    assert await given_back(pipeline) == TOTAL_MINOR


async def test_what_came_of_a_lost_answer_is_found_and_the_next_waits_for_it(shop: Pipeline) -> None:
    shop.gateway.says["order-1"] = Said(K.REFUND, Unknown("time-out"), executed=True)
    await shop.publish(refund(request_id="R-1", amount_minor=1_000), refund(request_id="R-2", amount_minor=2_000))

    async def unknown() -> bool:
        return await shop.has("SELECT 1 FROM operation WHERE kind = 'refund' AND state = 'unknown'")

    await shop.until(unknown, "an unknown refund")
    await until_state(shop, "R-2", "waiting")
    del shop.gateway.says["order-1"]
    await until_ended(shop, "R-1", "R-2")
    await assert_all_is_well(shop)
    assert await refunded(shop) == [("R-1", 1_000), ("R-2", 2_000)]
    assert await given_back(shop) == 3_000


async def test_an_order_that_is_not_paid_is_refused_and_one_under_way_waits(pipeline: Pipeline) -> None:
    await pipeline.publish(refund("early"), order("early"))
    await pipeline.publish(order("failed", "pm_card_chargeDeclined"), order("free", **FREE))
    await pipeline.until_status("payment_failed", "failed")
    await pipeline.until_status("paid_and_confirmed", "early", "free")
    await pipeline.publish(refund("failed", "R-failed"), refund("free", "R-free", 1))
    await until_ended(pipeline, "R-1", "R-failed", "R-free")
    await assert_all_is_well(pipeline)
    assert await states(pipeline, "failed") == {"R-failed": "NOT_PAID"}
    assert await states(pipeline, "free") == {"R-free": "EXCEEDS_KEPT"}
    assert await states(pipeline, "early") == {"R-1": "done"}
    assert await given_back(pipeline, "early") == TOTAL_MINOR


async def test_a_disputed_payment_is_not_refunded(shop: Pipeline) -> None:
    await shop.rows("UPDATE orders SET disputed = true")
    await shop.publish(refund())
    await until_ended(shop, "R-1")
    assert await refusals(shop) == [("R-1", "DISPUTED")]


@pytest.mark.parametrize("word", Word)
async def test_a_refund_that_the_gateway_refuses_comes_to_a_person_and_ends_by_either_word(
    shop: Pipeline, word: Word
) -> None:
    shop.gateway.says["order-1"] = Said(K.REFUND, REFUSED, executed=False)
    await shop.publish(refund(amount_minor=1_000))
    await shop.until_status("manual_review", "order-1")
    await shop.publish(refund(request_id="R-2", amount_minor=500))
    await until_ended(shop, "R-2")
    assert await refusals(shop) == [("R-2", "IN_REVIEW")]
    await assert_the_audit_holds(shop)
    del shop.gateway.says["order-1"]
    reference = "outside:transfer-1" if word is Word.EXECUTED else None
    resolved = await shop.resolver().resolve(OrderId("order-1"), Ruling(word, "looked", "alice", reference))
    assert not isinstance(resolved, No), resolved
    await until_ended(shop, "R-1")
    await shop.until_status("paid_and_confirmed", "order-1")
    await shop.until_quiet()
    await assert_the_audit_holds(shop)
    assert await refunded(shop) == [("R-1", 1_000)]
    assert await given_back(shop) == (0 if word is Word.EXECUTED else 1_000)


async def test_what_somebody_gave_back_is_booked_besides_what_went_back_past_the_gateway(shop: Pipeline) -> None:
    """The gateway says what it gave back in all; it knows nothing of what an operator paid otherwise."""
    outside = "outside:transfer-1"
    shop.gateway.says["order-1"] = Said(K.REFUND, REFUSED, executed=False)
    await shop.publish(refund(amount_minor=500))
    await shop.until_status("manual_review", "order-1")
    del shop.gateway.says["order-1"]
    ruled = await shop.resolver().resolve(OrderId("order-1"), Ruling(Word.EXECUTED, "looked", "alice", outside))
    assert not isinstance(ruled, No), ruled
    await until_ended(shop, "R-1")
    transaction_id = await shop.value("SELECT transaction_id FROM attempt")

    given = shop.gateway.refund_elsewhere(transaction_id, 600)
    await shop.publish(refund(request_id="R-2", amount_minor=None))
    await until_ended(shop, "R-2")

    await shop.until_quiet()
    told = [(e.request_id, e.refund_id, e.amount_minor) for e in await shop.events("order-1", "PaymentRefunded")]
    assert told[:2] == [("R-1", outside, 500), (None, given, 600)]
    assert [(request_id, amount) for request_id, _, amount in told[2:]] == [("R-2", TOTAL_MINOR - 1_100)]
    assert await given_back(shop) == TOTAL_MINOR - 500
    await assert_the_audit_holds(shop)


async def test_a_cancel_behind_a_refund_gives_the_rest_back_and_restocks_what_is_not_back(shop: Pipeline) -> None:
    await shop.publish(refund(amount_minor=1_000, lines=(Item(sku="SKU-1", quantity=1),)))
    await until_ended(shop, "R-1")
    await shop.publish(cancel())
    await shop.until_status("cancelled", "order-1")
    await shop.publish(refund(request_id="R-2", amount_minor=1))
    await until_ended(shop, "R-2")
    await assert_all_is_well(shop)
    assert await given_back(shop) == TOTAL_MINOR
    assert await shop.shelf("SKU-1") == (10, 0, 0)
    assert await shop.shelf("SKU-2") == (10, 0, 0)
    restocked = await shop.events("order-1", "ItemsRestocked")
    assert [(e.request_id, [(x.sku, x.quantity) for x in e.lines]) for e in restocked] == [
        ("R-1", [("SKU-1", 1)]),
        ("C-1", [("SKU-1", 1), ("SKU-2", 1)]),
    ]
    assert await refusals(shop) == [("R-2", "CANCELLED")]


async def test_above_the_limit_a_second_person_says_yes_and_never_the_one_who_asked(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(four_eyes_minor="EUR=1000")
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pay(pipeline)
    asker = pipeline.asker()
    await asker.ask("refund_payment", refund(request_id="R-1", amount_minor=800), ALICE.identity)
    asked = await asker.ask("refund_payment", refund(request_id="R-2", amount_minor=201), ALICE.identity)
    assert asked is not None
    await until_ended(pipeline, "R-1")
    # Whichever was taken first, the sum decides.
    await until_state(pipeline, "R-2", "approval")
    assert isinstance(await asker.approve(OrderId("order-1"), "R-2", ALICE), No)
    assert isinstance(await asker.approve(OrderId("order-1"), "R-9", BOB), No)
    approved = await asker.approve(OrderId("order-1"), "R-2", BOB)
    assert isinstance(approved, Asked)
    await until_ended(pipeline, "R-2")
    assert isinstance(await asker.approve(OrderId("order-1"), "R-2", BOB), No)
    await assert_all_is_well(pipeline)
    assert await states(pipeline) == {"R-1": "done", "R-2": "done"}
    assert await pipeline.value("SELECT approved_by FROM order_request WHERE request_id = 'R-2'") == "bob/payments"


async def test_a_cancel_above_the_limit_waits_for_a_second_person_too(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(four_eyes_minor="1000")
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pay(pipeline)
    await pipeline.publish(cancel())
    await until_state(pipeline, "C-1", "approval")
    assert await pipeline.status("order-1") == "paid_and_confirmed"
    approved = await pipeline.asker().approve(OrderId("order-1"), "C-1", BOB)
    assert isinstance(approved, Asked)
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)
    assert await given_back(pipeline) == TOTAL_MINOR


async def test_what_nobody_approves_in_time_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(four_eyes_minor="0")
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join(approval_max_s=2)
    await pay(pipeline)
    await pipeline.publish(refund(amount_minor=1_000), cancel())
    await until_ended(pipeline, "R-1", "C-1")
    await assert_all_is_well(pipeline)
    assert await states(pipeline) == {"R-1": "NOT_APPROVED", "C-1": "NOT_APPROVED"}
    assert await given_back(pipeline) == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_many_requests_cancels_and_faults_in_any_order_leave_the_books_right(
    make_pipeline: MakePipeline, seed: int
) -> None:
    rng = Random(seed)
    pipeline = await make_pipeline(sandbox_pending_s=0.5)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    await pipeline.join(pending_poll_s=0.2, unknown_retry_s=0.1)
    tokens = ("pm_card_visa", "pm_wallet_captured", "pm_fault_refund_pending", "pm_fault_reset_after_on_refund")
    ids = [f"o-{n}" for n in range(12)]
    await pipeline.publish(*(order(name, rng.choice(tokens)) for name in ids))
    await pipeline.until_status("paid_and_confirmed", *ids)
    asked: list[Any] = []
    for name in ids:
        for n in range(rng.randrange(1, 7)):
            amount = rng.choice((None, rng.randrange(1, 1_500)))
            lines = (Item(sku="SKU-1", quantity=1),) * rng.randrange(2)
            asked.append(refund(name, f"{name}-R{n}", amount, lines=lines))
        if rng.random() < 0.4:
            asked.append(cancel(name, f"{name}-C"))
    asked += rng.sample(asked, len(asked) // 2)
    rng.shuffle(asked)
    await asyncio.gather(*(pipeline.publish(event) for event in asked))
    await until_ended(pipeline, *{event.request_id for event in asked})
    await assert_all_is_well(pipeline)
    for name in ids:
        told = sum(amount for _, amount in await refunded(pipeline, name))
        assert told == await given_back(pipeline, name) <= TOTAL_MINOR

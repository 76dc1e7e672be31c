"""A notice of the gateway is a wake-up: the gateway is asked at once, and nothing else comes of it."""

import asyncio
import random
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from domain.ids import OperationId, OrderId
from domain.notices import Notice
from domain.operation import OperationKind
from domain.outcome import Pending, Unknown
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Member, Pipeline, now
from tests.consumers.orders import order, refund, retry

pytestmark = pytest.mark.integration

LONG_S = 600.0
"""Longer than a test: what happens sooner was woken."""
UNKNOWN, PENDING = Unknown("connection reset"), Pending()


def notice(number: int | str, order_id: str, intent_id: str, name: str = "payment_intent.succeeded") -> Notice:
    operation = OperationId(UUID(int=7))
    return Notice(f"evt_{number}", name, now(), intent_id, intent_id, OrderId(order_id), operation)


async def join(pipeline: Pipeline, **rules: Any) -> Member:
    return await pipeline.join(ports={"notices": pipeline.store().notices}, **rules)


@pytest_asyncio.fixture
async def waiting(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline that asks about unknown outcomes once in ten minutes, with goods for all."""
    pipeline = await make_pipeline(unknown_retry_s=LONG_S, backoff_max_s=LONG_S)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    return pipeline


async def lose_answers(pipeline: Pipeline, *order_ids: str, told: Unknown | Pending = UNKNOWN) -> dict[str, str]:
    """Have these orders authorized, and the answers lost, or not be final; return the transactions."""
    pipeline.gateway.says |= dict.fromkeys(order_ids, Said(OperationKind.AUTHORIZE, told, executed=True))
    await pipeline.publish(*map(order, order_ids))

    async def all_unknown() -> bool:
        query = "SELECT count(*) FROM operation WHERE state IN ('unknown', 'pending') AND order_id = ANY(%s)"
        return bool(await pipeline.value(query, list(order_ids)) == len(order_ids))

    await pipeline.until(all_unknown, "unknown")
    for order_id in order_ids:
        del pipeline.gateway.says[order_id]
    return {e.order_id: e.transaction_id for e in await pipeline.gateway.entries() if e.order_id}


async def until_fate(pipeline: Pipeline, fate: str, *ids: str) -> None:
    async def all_so() -> bool:
        query = "SELECT count(*) FROM gateway_notice WHERE fate = %s AND notice_id = ANY(%s)"
        return bool(await pipeline.value(query, fate, list(ids)) == len(ids))

    await pipeline.until(all_so, f"{ids} {fate}")


async def test_an_unknown_outcome_is_asked_for_as_soon_as_the_gateway_tells(waiting: Pipeline) -> None:
    await join(waiting)
    intents = await lose_answers(waiting, "order-1", "order-2")
    store = waiting.store()
    assert await store.notices.keep([notice(1, "order-1", intents["order-1"])]) == 1
    await waiting.until_status("paid_and_confirmed", "order-1")
    assert await waiting.effects("order-1") == ["authorize", "capture"]
    assert await waiting.status("order-2") == "payment_pending" or await waiting.has(
        "SELECT 1 FROM operation WHERE order_id = 'order-2' AND state = 'unknown'"
    )
    await until_fate(waiting, "woken", "evt_1")


async def test_notices_come_early_late_twice_and_in_any_order_and_each_order_is_paid_once(waiting: Pipeline) -> None:
    names = ("amount_capturable_updated", "succeeded", "payment_failed", "canceled", "requires_action")
    ids = [f"order-{n}" for n in range(20)]
    store = waiting.store()
    # Early: before the order, whose transaction nobody knows yet.
    early = [notice(f"early_{i}", i, "pi_unknown") for i in ids]
    await store.notices.keep(early)
    await join(waiting)
    intents = await lose_answers(waiting, *ids)
    told = [notice(f"{name}_{i}", i, intents[i], f"payment_intent.{name}") for i in ids for name in names] * 2
    random.Random(1).shuffle(told)
    for part in range(0, len(told), 7):
        await store.notices.keep(told[part : part + 7])
    await waiting.until_status("paid_and_confirmed", *ids)
    late = [notice(f"late_{i}", i, intents[i]) for i in ids]
    await store.notices.keep([*late, *told])
    await until_fate(waiting, "known", *(n.notice_id for n in late))
    assert {tuple(await waiting.effects(i)) for i in ids} == {("authorize", "capture")}
    assert await waiting.value("SELECT count(*) FROM gateway_notice") == len(
        {n.notice_id for n in [*early, *told, *late]}
    )
    await waiting.until_quiet()


async def test_a_refund_wakes_its_own_call_and_no_other_one_of_its_order(waiting: Pipeline) -> None:
    member = await join(waiting)
    await waiting.publish(order())
    await waiting.until_status("paid_and_confirmed", "order-1")
    waiting.gateway.says["order-1"] = Said(OperationKind.REFUND, PENDING, executed=False)
    await waiting.publish(refund(amount_minor=500))

    async def pending() -> bool:
        return await waiting.has("SELECT 1 FROM operation WHERE kind = 'refund' AND state = 'pending'")

    await waiting.until(pending, "the refund is pending")
    await member.leave()
    query = "SELECT operation_id, transaction_id FROM operation WHERE kind = 'refund'"
    ((own, intent),) = await waiting.rows(query)
    told = [
        Notice(f"evt_{n}", "refund.created", now(), f"re_{n}", intent, OrderId("order-1"), OperationId(by))
        for n, by in enumerate((UUID(str(own)), UUID(int=7)))
    ]
    store = waiting.store()
    await store.notices.keep(told)
    assert {str(fate): count for fate, count in (await store.notices.sort(10, 60)).fates.items()} == {
        "woken": 1,
        "kept": 1,
    }
    assert await waiting.value("SELECT fate FROM gateway_notice WHERE notice_id = 'evt_0'") == "woken"


async def test_several_notices_of_one_transaction_ask_the_gateway_once(waiting: Pipeline) -> None:
    await join(waiting)
    intents = await lose_answers(waiting, "order-1")
    looked_up: list[str] = []
    real = waiting.gateway.look_up

    def counting(calls: Any) -> Any:
        looked_up.extend(call.order_id for call in calls)
        return real(calls)

    waiting.gateway.look_up = counting  # type: ignore[method-assign]
    await waiting.store().notices.keep([notice(n, "order-1", intents["order-1"]) for n in range(50)])
    await waiting.until_status("paid_and_confirmed", "order-1")
    await waiting.until_quiet()
    assert looked_up == ["order-1"]


@pytest.mark.parametrize("retry_s", [5.0, LONG_S])
async def test_a_lease_of_another_process_is_not_ended(make_pipeline: MakePipeline, retry_s: float) -> None:
    pipeline = await make_pipeline(unknown_retry_s=retry_s, backoff_max_s=LONG_S)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    member = await join(pipeline)
    intents = await lose_answers(pipeline, "order-1")
    await member.leave()
    store = pipeline.store()
    await pipeline.rows("UPDATE operation SET due_at = now()")
    (claimed,) = await store.claim_due(10, 60)
    told = notice(1, "order-1", intents["order-1"])
    await store.notices.keep([told])
    assert {str(fate): count for fate, count in (await store.notices.sort(10, 60)).fates.items()} == {"waiting": 1}
    assert await pipeline.value("SELECT due_at FROM operation") == claimed.operation.due_at
    await store.give_back([claimed.operation])
    await pipeline.rows("UPDATE gateway_notice SET due_at = now()")
    assert {str(fate): count for fate, count in (await store.notices.sort(10, 60)).fates.items()} == {"woken": 1}


async def test_an_operation_due_within_the_length_of_a_lease_is_woken_too(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(unknown_retry_s=30, backoff_max_s=LONG_S)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await join(pipeline)
    intents = await lose_answers(pipeline, "order-1")
    await pipeline.store().notices.keep([notice(1, "order-1", intents["order-1"])])
    await pipeline.until_status("paid_and_confirmed", "order-1")


async def test_a_notice_of_an_older_attempt_does_not_wake_the_next_one(waiting: Pipeline) -> None:
    """What it tells would be lost: the next attempt's answer does not say it."""
    await join(waiting)
    await waiting.publish(order("order-1", "pm_card_chargeDeclined"))
    await waiting.until_status("payment_failed", "order-1")
    await waiting.rows("UPDATE attempt SET transaction_id = 'pi_first'")
    waiting.gateway.says["order-1"] = Said(OperationKind.AUTHORIZE, UNKNOWN, executed=False)
    await waiting.publish(retry())

    async def unknown() -> bool:
        return await waiting.has("SELECT 1 FROM operation WHERE state = 'unknown' AND attempt = 2")

    await waiting.until(unknown, "unknown")
    name = "payment_intent.amount_capturable_updated"
    await waiting.store().notices.keep([notice(1, "order-1", "pi_first", name)])
    await until_fate(waiting, "kept", "evt_1")


async def test_an_order_that_somebody_holds_is_not_waited_for(waiting: Pipeline) -> None:
    await join(waiting)
    intents = await lose_answers(waiting, "held", "free")
    url = waiting.settings.psycopg_url()
    async with await psycopg.AsyncConnection.connect(url) as somebody:
        await somebody.execute("SELECT 1 FROM orders WHERE order_id = 'held' FOR UPDATE")
        await waiting.store().notices.keep([notice(i, i, intents[i]) for i in ("held", "free")])
        await waiting.until_status("paid_and_confirmed", "free")
        await until_fate(waiting, "waiting", "evt_held")
    await waiting.until_status("paid_and_confirmed", "held")


async def test_an_order_that_never_comes_rings_after_a_day(waiting: Pipeline) -> None:
    store = waiting.store()
    await store.notices.keep([notice(1, "nobody", "pi_1")])
    assert (await store.notices.sort(10, 60)).looked_at == 1
    with capture_logs() as log:
        await join(waiting)
        await waiting.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day', due_at = now()")
        await until_fate(waiting, "unknown_order", "evt_1")
    assert [line["order_ids"] for line in log if line.get("alarm")] == [["nobody"]]
    assert await waiting.value("SELECT due_at IS NULL FROM gateway_notice")


async def test_only_what_was_applied_long_ago_is_forgotten(waiting: Pipeline) -> None:
    store = waiting.store()
    fates = ("waiting", "woken", "known", "kept", "applied", "foreign", "unknown_order")
    await store.notices.keep([notice(f"{fate}_{age}", "order-1", "pi_1") for fate in fates for age in ("old", "new")])
    await waiting.rows("UPDATE gateway_notice SET fate = substring(notice_id FROM 'evt_(.*)_...')")
    await waiting.rows("UPDATE gateway_notice SET received_at = now() - interval '36 days' WHERE notice_id LIKE '%old'")
    assert await store.notices.forget_old(100) == 4
    left = await waiting.rows("SELECT notice_id FROM gateway_notice WHERE notice_id LIKE '%old' ORDER BY 1")
    assert left == [("evt_applied_old",), ("evt_kept_old",), ("evt_waiting_old",)]


async def test_many_sorters_at_once_lose_nothing(waiting: Pipeline) -> None:
    member = await join(waiting)
    ids = [f"order-{n}" for n in range(60)]
    intents = await lose_answers(waiting, *ids, told=PENDING)
    await member.leave()
    stores = [waiting.store() for _ in range(4)]
    await stores[0].notices.keep([notice(i, i, intents[i]) for i in ids])
    while await waiting.value("SELECT count(*) FROM gateway_notice WHERE fate = 'waiting'"):
        await asyncio.gather(*(store.notices.sort(7, 60) for store in stores))
        await waiting.rows("UPDATE gateway_notice SET due_at = now() WHERE fate = 'waiting'")
    assert await waiting.value("SELECT count(*) FROM operation WHERE due_at <= now()") == len(ids)

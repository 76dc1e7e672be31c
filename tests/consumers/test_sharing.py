"""Several processes share the work; some leave, some die; nothing happens twice and nothing is left lying."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from consumers.items_reserved import capture_payment
from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.reactions import REACTIONS
from domain.operation import OperationKind
from schemas.events import Event, Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.consumers.sources import ListSource, consume, journal

pytestmark = pytest.mark.integration

CRASHES = [
    (OperationKind.AUTHORIZE, "pm_card_visa", "paid_and_confirmed", ["authorize", "capture"]),
    (OperationKind.CAPTURE, "pm_card_visa", "paid_and_confirmed", ["authorize", "capture"]),
    (OperationKind.VOID, "pm_fault_capture_refused", "payment_failed", ["authorize", "cancel"]),
    (OperationKind.REFUND, "pm_fault_void_refused_captured", "payment_failed", ["authorize", "capture", "refund"]),
]


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize(("kind", "token", "outcome", "effects"), CRASHES)
async def test_crash_between_plan_and_settle_is_finished_by_another_sweep_after_the_lease(
    make_pipeline: MakePipeline,
    *,
    kind: OperationKind,
    token: str,
    outcome: str,
    effects: list[str],
    executed: bool,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=1 if kind is OperationKind.REFUND else 10, SKU_2=10)
    gateway = pipeline.gateway
    gateway.hangs_on = {kind: executed}
    first = await pipeline.join()
    confirmed = order(token=token)
    await pipeline.publish(confirmed)
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation WHERE kind = %s", str(kind)), "the operation")
    earlier: int = await pipeline.value("SELECT count(*) FROM operation WHERE state IN ('approved', 'declined')")

    async def called() -> bool:
        return gateway.performed.get("order-1") == earlier + 1

    await pipeline.until(called, "the call")
    await first.crash()
    gateway.hangs_on = {}
    before = dict(gateway.performed)
    second = await pipeline.join()
    await pipeline.publish(confirmed)
    await pipeline.until_taken()
    assert gateway.performed == before, "nobody may touch it while the lease lasts"

    await pipeline.end_leases()
    await pipeline.until_status(outcome, "order-1")
    await assert_all_is_well(pipeline)
    assert not second.task.done()
    assert await pipeline.effects("order-1") == effects
    assert await pipeline.value("SELECT count(*) FROM attempt") == 1
    assert await pipeline.value("SELECT count(*) FROM operation WHERE kind = %s", str(kind)) == 1


async def test_leaving_process_gives_its_leases_back_so_that_others_need_not_wait(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(drain_timeout_s=0.2)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.hangs_for.add("order-1")
    first = await pipeline.join()
    await pipeline.publish(order())
    await pipeline.until_status("confirmed", "order-1")
    await first.leave()
    pipeline.gateway.hangs_for.clear()
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


async def test_leaving_process_finishes_the_calls_that_end_in_time(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(simulated_latency_ms=300)
    first = await pipeline.join([authorize_payment], sweep=False, relay=False)
    await pipeline.publish(order())
    await pipeline.until_status("confirmed", "order-1")
    await first.leave()
    assert await pipeline.status("order-1") == "payment_authorized"


def counting(pipeline: Pipeline, seen: list[str]) -> Callable[..., Event]:
    """Make a decoder that notes which orders it saw."""

    def decode(event_type: str, key: bytes | None, value: bytes | None) -> Event:
        event = pipeline.codec.decode(event_type, key, value)
        seen.append(event.subject)
        return event

    return decode


async def test_two_processes_share_the_work_and_one_takes_over_when_the_other_leaves(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=4)
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000)
    of_first: list[str] = []
    of_second: list[str] = []
    first = await pipeline.join(decode=counting(pipeline, of_first))
    second = await pipeline.join(decode=counting(pipeline, of_second))
    orders: list[str] = []

    async def publish_some(count: int) -> None:
        new = [f"order-{len(orders) + n}" for n in range(count)]
        orders.extend(new)
        await pipeline.publish(*map(order, new))

    async def both_work() -> bool:
        await publish_some(2)
        return bool(of_first and of_second)

    await pipeline.until(both_work, "both work")
    await publish_some(40)
    await first.leave()
    taken_by_first = len(of_first)
    await publish_some(40)
    await pipeline.until_status("paid_and_confirmed", *orders)
    await assert_all_is_well(pipeline)
    assert len(of_first) == taken_by_first
    assert not second.task.done()
    assert len(await pipeline.gateway.entries()) == len(orders)


@pytest.mark.parametrize("seed", [1, 2])
async def test_hundred_orders_for_thirty_items_over_two_processes_sell_exactly_thirty(
    make_pipeline: MakePipeline, seed: int
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=30, SKU_2=30, SKU_3=30)
    names = [f"order-{n}" for n in range(100)]
    draw = random.Random(seed)

    def competing(name: str) -> Any:
        skus = draw.sample(["SKU-1", "SKU-2", "SKU-3"], 3)
        return order(name, lines=tuple(Line(sku=sku, quantity=1, unit_price_minor=1_000) for sku in skus))

    await pipeline.publish(*map(competing, names))
    first = await pipeline.join([authorize_payment], relay=False)
    await pipeline.until_status("payment_authorized", *names)
    await first.leave()

    authorized = await journal(pipeline, reserve_items)
    stores = [pipeline.store() for _ in range(2)]
    await asyncio.gather(
        *(
            consume(pipeline.engine(store), reserve_items, ListSource(authorized[n::2], batch=5))
            for n, store in enumerate(stores)
        )
    )
    assert await pipeline.shelf("SKU-1") == await pipeline.shelf("SKU-3") == (0, 30, 0)

    await pipeline.join(REACTIONS)
    await assert_all_is_well(pipeline)
    assert await pipeline.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert await pipeline.shelf("SKU-1") == await pipeline.shelf("SKU-2") == await pipeline.shelf("SKU-3") == (0, 0, 30)
    assert await pipeline.rows("SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1") == [
        ("paid_and_confirmed", 30),
        ("payment_failed", 70),
    ]


async def test_hold_that_lapsed_before_the_capture_gives_money_and_goods_back(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(reservation_ttl_s=0.2)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join([r for r in REACTIONS if r is not capture_payment])
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM reservation WHERE state = 'expired'"), "expiry")
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    await pipeline.join([capture_payment])
    await pipeline.until_status("payment_failed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.story("order-1") == [
        "PaymentAuthorized",
        "ItemsReserved",
        "ReservationReleased",
        "ReservationFailed",
        "PaymentVoided",
        "PaymentFailed",
        "CustomerNotificationRequested",
    ]
    (lapsed,) = await pipeline.events("order-1", "ReservationFailed")
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert (lapsed.reason, lapsed.missing, failed.failure_code) == ("LAPSED", (), "reservation_lapsed")
    assert await pipeline.effects("order-1") == ["authorize", "cancel"]
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)


async def test_hold_that_is_pinned_by_a_capture_never_lapses(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(reservation_ttl_s=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    pipeline.gateway.hangs_on = {OperationKind.CAPTURE: False}
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM reservation WHERE pinned"), "pinned")
    await pipeline.until(
        lambda: pipeline.has("SELECT 1 FROM reservation WHERE expires_at < now() - interval '0.3 s'"), "time"
    )
    assert await pipeline.shelf("SKU-1") == (8, 2, 0)
    pipeline.gateway.hangs_on = {}
    await pipeline.end_leases()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)

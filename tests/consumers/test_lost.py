"""Answers of the database that are lost, and messages that Kafka lost: the work is found again and done once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.payment_failed import release_items
from consumers.payment_retry_requested import retry_payment
from consumers.runtime.bounds import Bounds
from deploy.bounds import bounds_of
from deploy.settings import Settings
from domain.errors import DownForEverybody, Transient
from domain.ids import OrderId
from domain.operation import OperationKind
from domain.ports.store import Transaction
from outbox.store import PostgresStore
from tests.consumers import harness
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, retry
from tests.eventually import EVENTUALLY_S

pytestmark = pytest.mark.integration


class LosesCommits:
    """A store whose transactions commit, and every second time nobody hears of it."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self.lost = 0
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[Transaction]:
        """Commit, then fail."""
        async with self._store.transaction(contended=contended) as transaction:
            yield transaction
        self._count += 1
        if self._count % 2:
            self.lost += 1
            raise DownForEverybody("the connection broke while COMMIT was answered")


async def test_commits_whose_answer_is_lost_do_nothing_twice_and_leave_nothing_undone(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=9, SKU_2=100)
    stores: list[LosesCommits] = []

    def wrap(store: PostgresStore) -> Any:
        stores.append(LosesCommits(store))
        return stores[-1]

    await pipeline.join(wrap=wrap)
    orders = [f"order-{n}" for n in range(6)]
    for order_id in orders:
        token = "pm_fault_capture_refused" if order_id == "order-0" else "pm_card_visa"
        await pipeline.publish(order(order_id, token))

    async def all_final() -> bool:
        await pipeline.end_leases()
        final = "SELECT count(*) FROM orders WHERE status IN ('paid_and_confirmed', 'payment_failed')"
        return bool(await pipeline.value(final) == len(orders))

    await pipeline.until(all_final, "all final")
    await assert_all_is_well(pipeline)
    assert stores[0].lost >= 4
    assert await pipeline.status("order-0") == "payment_failed"
    assert await pipeline.dead_letters() == []


async def stand_still(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with an order that is authorized and whose event never came to anybody."""
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())
    await pipeline.until_status("payment_authorized", "order-1")
    await first.leave()
    await pipeline.rows("DELETE FROM outbox")
    return pipeline


async def test_event_that_kafka_lost_is_sent_again_with_the_same_bytes(make_pipeline: MakePipeline) -> None:
    pipeline = await stand_still(make_pipeline)
    await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert any(line.get("alarm") and line.get("reason") == "stuck" for line in log)
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


async def test_order_of_last_week_whose_event_kafka_lost_is_revived(make_pipeline: MakePipeline) -> None:
    pipeline = await stand_still(make_pipeline)
    await pipeline.rows(
        "UPDATE orders SET updated_at = now() - interval '7 days', created_at = now() - interval '7 days'"
    )
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)


async def test_old_failed_order_that_is_retried_is_revived_when_kafka_loses_what_comes_next(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first = await pipeline.join([authorize_payment, retry_payment, release_items])
    await pipeline.publish(order(token="pm_card_chargeDeclined"))
    await pipeline.until_status("payment_failed", "order-1")
    await pipeline.rows("UPDATE orders SET created_at = now() - interval '7 days'")
    mark = "SELECT 1 FROM low_water WHERE name = 'unfinished_orders' AND at > now() - interval '1 hour'"
    await pipeline.until(lambda: pipeline.has(mark), "the search has left the order behind")
    await pipeline.publish(retry(after_attempt=1))
    await pipeline.until_status("payment_authorized", "order-1")
    await first.leave()
    assert not await pipeline.has(mark)
    await pipeline.rows("DELETE FROM outbox")
    await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)


class FindsAgain:
    """A store that finds an order standing still of which another sweep has just taken care."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Find it, whatever has happened since."""
        return [OrderId("order-1")]


async def test_two_sweeps_that_find_the_same_order_revive_it_once(make_pipeline: MakePipeline) -> None:
    pipeline = await stand_still(make_pipeline)
    await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    engines = [pipeline.engine(FindsAgain(pipeline.store())) for _ in range(3)]
    with capture_logs() as log:
        await asyncio.gather(*(engine.once() for engine in engines))
    assert await pipeline.rows("SELECT resends, status FROM orders") == [(1, "payment_authorized")]
    assert [line["order_ids"] for line in log if line.get("reason") == "stuck"] == [["order-1"]]


async def test_order_that_stands_still_after_three_resends_goes_to_a_person(make_pipeline: MakePipeline) -> None:
    pipeline = await stand_still(make_pipeline)
    store = pipeline.store()
    for sent in (1, 1, 1, 0):
        await pipeline.rows("DELETE FROM outbox")
        await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
        assert await pipeline.engine(store).once() == 0
        events = (
            "SELECT count(*) FROM outbox JOIN event ON event.id = ANY(event_ids) WHERE topic LIKE '%%PaymentAuthorized'"
        )
        assert await pipeline.value(events + " AND %s", True) == sent
    assert await pipeline.rows("SELECT status, reviewed, review_reason FROM orders") == [
        ("manual_review", "payment_authorized", "stuck")
    ]


async def test_gateway_that_refuses_our_key_is_waited_for_with_one_alarm(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=100, SKU_2=100)
    pipeline.gateway.refuses_us = True
    orders = [f"order-{n}" for n in range(10)]
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.publish(*map(order, orders))

        async def alarmed() -> bool:
            return any(line.get("reason") == "gateway_down" for line in log)

        await pipeline.until(alarmed, "an alarm")
        pipeline.gateway.refuses_us = False
        await pipeline.until_status("paid_and_confirmed", *orders)
    await assert_all_is_well(pipeline)
    assert len([line for line in log if line.get("reason") == "gateway_down"]) == 1
    assert await pipeline.dead_letters() == []


async def test_long_outage_of_the_gateway_does_not_use_up_the_tries_of_all_that_waits(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_short_pauses(settings: Settings) -> Bounds:
        return replace(bounds_of(settings), breaker_pause_s=0.1, breaker_pause_max_s=0.1)

    monkeypatch.setattr(harness, "bounds_of", with_short_pauses)
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    gateway = pipeline.gateway
    gateway.is_busy = True
    orders = [f"order-{n}" for n in range(100)]
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.publish(*map(order, orders))
        await pipeline.until(lambda: _told(log, "the gateway is down for everybody"), "an alarm")
        under_way = len(gateway.asked)

        async def asked_again() -> bool:
            return len(gateway.asked) >= under_way + 6

        await pipeline.until(asked_again, "calls that show whether it answers")
        # The first may be stragglers; without care each of the last would be all hundred, for all are due.
        assert gateway.asked[-3:] == [1, 1, 1]
        gateway.is_busy = False
        await pipeline.until_status("paid_and_confirmed", *orders)
    await assert_all_is_well(pipeline)
    assert await _told(log, "the gateway answers again")


async def _told(log: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in log)


class Gone:
    """A store whose database goes away when this is asked of it."""

    def __init__(self, store: PostgresStore, method: str) -> None:
        self._store = store
        self._method = method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise Transient("the database has gone")
        return getattr(self._store, name)


@pytest.mark.parametrize("asked", ["claim_due", "transaction"])
async def test_sweep_that_was_asked_for_once_does_not_wait_for_a_database_that_is_gone(
    make_pipeline: MakePipeline, asked: str
) -> None:
    pipeline = await make_pipeline()
    pipeline.gateway.hangs_on = {OperationKind.AUTHORIZE: False}
    begun = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation"), "the operation")
    await begun.crash()
    pipeline.gateway.hangs_on = {}
    await pipeline.end_leases()
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(EVENTUALLY_S):
            await pipeline.engine(Gone(pipeline.store(), asked)).once()
    assert caught.group_contains(Transient, match="gone")
    assert await pipeline.rows("SELECT state FROM operation") == [("open",)]

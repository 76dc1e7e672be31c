"""Locks of others in odd shapes: shared in turns, on tables that nobody needs, on what is inserted, on answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.operation import GatewayCall, OperationKind
from domain.ports.gateway import Begin, GatewayAnswer
from schemas.events import Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.consumers.test_locks import holding, told, until_paid, until_said
from tests.eventually import EVENTUALLY_S

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

HOT = (Line(sku="HOT", quantity=2, unit_price_minor=1_000), Line(sku="SKU-2", quantity=1, unit_price_minor=550))
LOCK_LOCKED = "SELECT FROM orders WHERE order_id = 'locked' FOR UPDATE"


async def pipeline_with_locked(make_pipeline: MakePipeline, **settings: Any) -> Pipeline:
    """Start a process and an order whose authorization has no answer yet."""
    pipeline = await make_pipeline(**settings)
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000, HOT=10_000)
    pipeline.gateway.fails_for = {"locked"}
    await pipeline.join()
    await pipeline.publish(order("locked"))
    await pipeline.until_status("confirmed", "locked")
    return pipeline


@asynccontextmanager
async def sharing_in_turns(pipeline: Pipeline, statement: str) -> AsyncIterator[None]:
    """Have three sessions run this again and again, so that at any time some hold what it locks."""

    async def share(delay_s: float) -> None:
        url = pipeline.settings.psycopg_url()
        await asyncio.sleep(delay_s)
        async with await psycopg.AsyncConnection.connect(url, application_name="reports") as connection:
            while True:
                await connection.execute(statement.encode())
                await asyncio.sleep(0.4)
                await connection.rollback()

    tasks = [asyncio.ensure_future(share(delay_s)) for delay_s in (0, 0.1, 0.2)]
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def test_while_several_share_a_row_in_turns_orders_without_it_are_paid(make_pipeline: MakePipeline) -> None:
    pipeline = await pipeline_with_locked(make_pipeline)
    others = [f"other-{n}" for n in range(100)]
    with capture_logs() as log:
        async with sharing_in_turns(pipeline, "SELECT FROM stock WHERE sku = 'HOT' FOR SHARE"):
            await pipeline.publish(*(order(f"hot-{n}", lines=HOT) for n in range(5)), *(order(n) for n in others))
            await until_paid(pipeline, *others)
        pipeline.gateway.fails_for = set()
        await pipeline.until_status("paid_and_confirmed", "locked", *(f"hot-{n}" for n in range(5)))
    assert {(line["table"], line.get("holder_application", "reports")) for line in told(log)} <= {("stock", "reports")}
    await assert_all_is_well(pipeline)


async def test_a_lock_on_a_table_that_orders_do_not_need_stops_none_beside_a_held_row(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await pipeline_with_locked(make_pipeline)
    oldest = await pipeline.value(
        """SELECT min(c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE inhparent = 'inbox'::regclass"""
    )
    for n, lock in enumerate(("LOCK TABLE dead_letter IN SHARE MODE", f"LOCK TABLE {oldest} IN ACCESS EXCLUSIVE MODE")):
        others = [f"other-{n}-{m}" for m in range(50)]
        async with holding(pipeline, LOCK_LOCKED), holding(pipeline, lock):
            pipeline.gateway.fails_for = set()
            await pipeline.publish(order("locked"), *(order(name) for name in others))
            await until_paid(pipeline, *others)
    await pipeline.until_status("paid_and_confirmed", "locked")
    await assert_all_is_well(pipeline)


async def test_behind_many_events_that_somebody_enters_without_end_the_others_are_paid(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await pipeline_with_locked(make_pipeline, topic_partitions=1)
    pipeline.gateway.fails_for = set()
    await pipeline.until_status("paid_and_confirmed", "locked")
    group = await pipeline.value("SELECT consumer_group FROM inbox WHERE event_id = %s", order("locked").event_id)
    hidden, others = [order(f"hidden-{n}") for n in range(40)], [f"other-{n}" for n in range(300)]
    rows = ", ".join(f"('{group}', '{event.occurred_at.date()}', '{event.event_id}')" for event in hidden)
    with capture_logs() as log:
        async with holding(pipeline, f"INSERT INTO inbox (consumer_group, day, event_id) VALUES {rows}"):
            await pipeline.publish(*hidden, *(order(name) for name in others))
            await pipeline.until(lambda: most_are_paid(pipeline, 280), "most others paid", 60)
            await until_said(pipeline, log, "another session holds a row; orders that need it wait, others go on")
        await pipeline.until_status("paid_and_confirmed", *(f"hidden-{n}" for n in range(40)), *others)
    assert all(line["remedy"].startswith("the session is unknown") for line in told(log))
    await assert_all_is_well(pipeline)


async def most_are_paid(pipeline: Pipeline, count: int) -> bool:
    paid = "SELECT count(*) FROM orders WHERE order_id LIKE 'other-%%' AND status = 'paid_and_confirmed'"
    return bool(await pipeline.value(paid + " AND %s > 0", count) >= count)


async def test_a_process_with_a_kept_answer_leaves_at_once_and_another_goes_on_with_the_order(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await pipeline_with_locked(make_pipeline, drain_timeout_s=100)
    (member,) = pipeline.members
    with capture_logs() as log:
        async with holding(pipeline, LOCK_LOCKED):
            pipeline.gateway.fails_for = set()
            await until_said(pipeline, log, "another session holds a row; orders that need it wait, others go on")
            async with asyncio.timeout(EVENTUALLY_S):
                await member.leave()
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "locked")
    assert await pipeline.effects("locked") == ["authorize", "capture"]
    await assert_all_is_well(pipeline)


async def test_while_an_answer_is_kept_the_gateway_is_not_asked_for_it_again(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await pipeline_with_locked(make_pipeline, lease_s=3)
    asked: Counter[OperationKind] = Counter()
    look_up = pipeline.gateway.look_up

    async def count(calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        asked.update(call.kind for call in calls)
        async for group in look_up(calls):
            yield group

    with capture_logs() as log:
        async with holding(pipeline, LOCK_LOCKED):
            monkeypatch.setattr(pipeline.gateway, "look_up", count)
            pipeline.gateway.fails_for = set()
            await until_said(pipeline, log, "another session holds a row; orders that need it wait, others go on")
            before = asked.total()
            leases: set[object] = set()

            async def claimed_twice() -> bool:
                leases.add(await pipeline.value("SELECT due_at FROM operation WHERE order_id = 'locked'"))
                return len(leases) > 2

            await pipeline.until(claimed_twice, "two more leases")
            assert asked.total() == before
        await pipeline.until_status("paid_and_confirmed", "locked")
    assert [line for line in log if line["event"] == "answer to a settled operation"] == []
    await assert_all_is_well(pipeline)


async def test_while_captures_wait_for_goods_a_customer_hears_at_once_that_the_payment_failed(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await pipeline_with_locked(make_pipeline)
    pipeline.gateway.fails_for = set()
    gate, perform = asyncio.Event(), pipeline.gateway.perform

    async def wait(calls: Sequence[GatewayCall], begin: Begin) -> AsyncIterator[Sequence[GatewayAnswer]]:
        if any(call.kind is OperationKind.CAPTURE for call in calls):
            await gate.wait()
        async for group in perform(calls, begin):
            yield group

    monkeypatch.setattr(pipeline.gateway, "perform", wait)
    await pipeline.publish(order("captured", lines=HOT))
    await pipeline.until_status("items_reserved", "captured")
    with capture_logs() as log:
        async with holding(pipeline, "SELECT FROM stock WHERE sku = 'HOT' FOR UPDATE"):
            gate.set()
            await until_said(pipeline, log, "another session holds a row; orders that need it wait, others go on")
            await pipeline.publish(order("declined", "pm_card_chargeDeclined", lines=HOT))
            await pipeline.until_status("payment_failed", "declined")
            assert await pipeline.status("captured") == "items_reserved"
        await pipeline.until_status("paid_and_confirmed", "captured")
    await assert_all_is_well(pipeline)

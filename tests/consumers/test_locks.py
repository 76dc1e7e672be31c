"""Somebody's psql holds a row or a table: what needs the row waits, all others are paid, and who holds it is told.

Each of these orders is one of ours on real servers; the session that holds the lock is an administrator's.
"""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from domain.errors import Busy
from schemas.events import Event, Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ORDERS = 300
OTHERS = tuple(f"other-{n}" for n in range(ORDERS))
SOON_S = 20.0
"""The first wait for a lock, five seconds, and what the orders take. Without a way around they wait for its end."""
APPLICATION = "an operator's psql"


@asynccontextmanager
async def holding(pipeline: Pipeline, statement: str) -> AsyncIterator[int]:
    """Hold what this statement locks, in an open transaction; give the session's process id."""
    url = pipeline.settings.psycopg_url()
    async with await psycopg.AsyncConnection.connect(url, application_name=APPLICATION) as connection:
        await connection.execute(statement.encode())
        yield connection.info.backend_pid
        await connection.rollback()


def told(log: Sequence[Any]) -> list[Any]:
    return [line for line in log if line.get("reason") == "lock_held"]


@pytest.fixture
async def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    made = await make_pipeline(topic_partitions=4)
    await made.stock(SKU_1=10_000, SKU_2=10_000)
    return made


async def test_while_an_order_is_locked_all_others_are_paid_and_then_it_is(pipeline: Pipeline) -> None:
    confirmed = order("locked")
    pipeline.gateway.fails_for = {"locked"}
    read: Counter[bytes | None] = Counter()

    def decode(event_type: str, key: bytes | None, value: bytes | None) -> Event:
        read.update([key] if event_type == "OrderConfirmed" else [])
        return pipeline.codec.decode(event_type, key, value)

    await pipeline.join(decode=decode)
    await pipeline.publish(confirmed)
    await pipeline.until_status("confirmed", "locked")

    with capture_logs() as log:
        async with holding(pipeline, "SELECT FROM orders WHERE order_id = 'locked' FOR UPDATE") as pid:
            # Its answer is to be settled, and its message comes once more.
            pipeline.gateway.fails_for = set()
            await pipeline.publish(confirmed, *(order(name) for name in OTHERS))
            await until_paid(pipeline, *OTHERS)
            assert await pipeline.status("locked") == "confirmed"
            assert set(read.values()) == {1, 2}, "what is done behind it is not read again"
            assert [key for key, times in read.items() if times == 2] == [b"locked"], "it was published twice"
            await until_said(pipeline, log, "another session holds a row; orders that need it wait, others go on")
        await pipeline.until_status("paid_and_confirmed", "locked")
        await until_said(pipeline, log, "the row is free; what waited for it goes on")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("locked") == ["authorize", "capture"]
    (alarm,) = told(log)
    assert (alarm["table"], alarm["rows"], alarm["order_ids"]) == ("orders", ["locked"], ["locked"])
    assert (alarm["holder_pid"], alarm["holder_application"]) == (pid, APPLICATION)
    assert alarm["remedy"] == f"SELECT pg_terminate_backend({pid})"


async def until_said(pipeline: Pipeline, log: Sequence[Any], text: str) -> None:
    async def said() -> bool:
        return any(line["event"] == text for line in log)

    await pipeline.until(said, text)


async def until_paid(pipeline: Pipeline, *names: str) -> None:
    async def paid() -> bool:
        return True is await pipeline.value(
            "SELECT count(*) = %s FROM orders WHERE order_id = ANY(%s) AND status = 'paid_and_confirmed'",
            len(names),
            list(names),
        )

    await pipeline.until(paid, "all others paid", SOON_S)


async def test_while_goods_are_locked_orders_without_them_are_paid_and_then_all(pipeline: Pipeline) -> None:
    await pipeline.stock(HOT=10_000)
    await pipeline.join()
    hot = (Line(sku="HOT", quantity=2, unit_price_minor=1_000), Line(sku="SKU-2", quantity=1, unit_price_minor=550))
    wanted = {name: order(name, lines=hot) if n % 10 == 0 else order(name) for n, name in enumerate(OTHERS)}
    need_hot = [name for n, name in enumerate(OTHERS) if n % 10 == 0]

    with capture_logs() as log:
        async with holding(pipeline, "UPDATE stock SET available = available + 1 WHERE sku = 'HOT'") as pid:
            await pipeline.publish(*wanted.values())
            await until_paid(pipeline, *(name for name in OTHERS if name not in need_hot))
            assert {await pipeline.status(name) for name in need_hot} == {"payment_authorized"}
        await pipeline.until_status("paid_and_confirmed", *OTHERS)
    await assert_all_is_well(pipeline)
    assert await pipeline.shelf("HOT") == (10_000 - 2 * len(need_hot), 0, 2 * len(need_hot))
    alarms = told(log)
    assert [(a["table"], a["rows"], a["holder_pid"]) for a in alarms] == [("stock", ["HOT"], pid)]


async def test_a_partition_goes_on_for_longer_than_a_batch_and_after_a_crash_what_waited_comes_again(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    pipeline.bounds = dataclasses.replace(pipeline.bounds, batch_max=20)
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000, HOT=10_000)
    member = await pipeline.join()
    hot = (Line(sku="HOT", quantity=1, unit_price_minor=1_000),)
    async with holding(pipeline, "SELECT FROM stock WHERE sku = 'HOT' FOR UPDATE"):
        # More that wait than a batch takes, and many batches behind the first.
        await pipeline.publish(*(order(f"hot-{n}", lines=hot) for n in range(30)), *(order(name) for name in OTHERS))
        await until_paid(pipeline, *OTHERS)
        await member.crash()
        await pipeline.join()
        await pipeline.publish(order("later"))
        await until_paid(pipeline, "later")
    await pipeline.until_status("paid_and_confirmed", *(f"hot-{n}" for n in range(30)))
    await assert_all_is_well(pipeline)


async def test_a_locked_table_is_waited_for_and_no_batch_is_cut(pipeline: Pipeline) -> None:
    await pipeline.join()
    await pipeline.publish(order("first"))
    await pipeline.until_status("paid_and_confirmed", "first")

    with capture_logs() as log:
        async with holding(pipeline, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE") as pid:
            await pipeline.publish(*(order(name) for name in OTHERS))

            await until_said(pipeline, log, "waiting")
        await until_paid(pipeline, *OTHERS)
    await assert_all_is_well(pipeline)
    assert {"table" in alarm for alarm in told(log)} == {False}
    assert all(f"pg_terminate_backend({pid})" in alarm["error"] for alarm in told(log))
    assert all("table orders is held (AccessExclusiveLock)" in alarm["error"] for alarm in told(log))
    assert [line for line in log if "is cut" in line["event"]] == []


async def test_an_event_that_somebody_else_enters_without_end_is_found_by_cutting(pipeline: Pipeline) -> None:
    found = order("found")
    day = found.occurred_at.date()
    await pipeline.join()
    await pipeline.publish(order("first"))
    await pipeline.until_status("paid_and_confirmed", "first")
    group = await pipeline.value("SELECT consumer_group FROM inbox WHERE event_id = %s", order("first").event_id)
    enter = f"INSERT INTO inbox (consumer_group, day, event_id) VALUES ('{group}', '{day}', '{found.event_id}')"
    async with holding(pipeline, enter):
        others = [order(name) for name in OTHERS]
        await pipeline.publish(*others[:150], found, *others[150:])
        await until_paid(pipeline, *OTHERS)
        assert await pipeline.status("found") is None
    await pipeline.until_status("paid_and_confirmed", "found")
    await assert_all_is_well(pipeline)


async def test_the_sweep_passes_over_a_locked_order_and_who_sweeps_once_hears_of_it(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(reservation_ttl_s=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    names = [f"order-{n}" for n in range(5)]
    reserving = await pipeline.join([authorize_payment, reserve_items], sweep=False)
    await pipeline.publish(*(order(name) for name in names))
    await pipeline.until_status("items_reserved", *names)
    await reserving.leave()
    lapsed = "SELECT 1 FROM reservation WHERE expires_at < now() HAVING count(*) = 5"
    await pipeline.until(lambda: pipeline.has(lapsed), "time")

    async with holding(pipeline, "SELECT FROM orders WHERE order_id = 'order-2' FOR UPDATE"):
        store = pipeline.store()
        with pytest.raises(ExceptionGroup) as caught:
            await pipeline.engine(store).once()
        assert caught.group_contains(Busy)
        expired = await pipeline.rows("SELECT order_id FROM reservation WHERE state = 'expired' ORDER BY 1")
        assert expired == [(name,) for name in names if name != "order-2"]
    await pipeline.join()
    await pipeline.until_status("payment_failed", *names)
    await assert_all_is_well(pipeline)

"""A warehouse says what came in and what went out: each event counts once, and nothing goes below zero."""

import asyncio
from typing import Any

import pytest

from consumers.runtime.redriving import Outcome
from deploy.redriving import redrive_letters
from deploy.views.letters import letter_lines
from outbox.operators.letter_list import Selection, letter_list
from outbox.operators.queries import snapshot
from schemas.events import StockAdjusted
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order
from tests.schemas.builders import event_id, stock_adjusted

pytestmark = pytest.mark.integration

GROUP = "payments.adjust_stock"


def moved(sku: str, delta: int, n: int = 0, **more: Any) -> StockAdjusted:
    fields = {"event_id": event_id(f"{sku} {delta} {n}"), "occurred_at": now(), "sku": sku, "delta": delta}
    return stock_adjusted(**(fields | more))


async def redrive(pipeline: Pipeline, number: int) -> Outcome:
    """Redrive one letter, as the command does."""
    with snapshot(pipeline.settings.sqlalchemy_url()) as connection:
        records = letter_list(connection, Selection(ids=[str(number)]))
    (done,) = await redrive_letters(pipeline.settings, records, by="ann", dry_run=False, whole_orders=False)
    return done.outcome


@pytest.fixture
async def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    made = await make_pipeline(topic_partitions=2)
    await made.stock(SKU_1=10, SKU_2=10)
    await made.join()
    return made


async def test_units_come_in_and_go_out_once_an_event_and_are_recorded(pipeline: Pipeline) -> None:
    new, out = moved("NEW TEA", 7), moved("SKU-1", -4, reason="broken in the rain")
    await pipeline.publish(new, out, new, moved("NEW TEA", 3), out, moved("SKU-2", 0))
    await pipeline.until_taken()
    assert await pipeline.shelf("NEW TEA") == (10, 0, 0)
    assert await pipeline.shelf("SKU-1") == (6, 0, 0)
    assert await pipeline.dead_letters() == []
    recorded = await pipeline.rows(
        'SELECT sku, delta, "by", reason, event_id FROM stock_adjustment WHERE event_id IS NOT NULL ORDER BY sku, delta'
    )
    assert recorded == [
        ("NEW TEA", 3, "warehouse", "a delivery", moved("NEW TEA", 3).event_id),
        ("NEW TEA", 7, "warehouse", "a delivery", new.event_id),
        ("SKU-1", -4, "warehouse", "broken in the rain", out.event_id),
    ]
    await pipeline.publish(order("after"))
    await pipeline.until_status("paid_and_confirmed", "after")
    await assert_all_is_well(pipeline)


async def test_what_would_go_below_zero_is_set_aside_and_redriven_when_there_are_units(pipeline: Pipeline) -> None:
    await pipeline.publish(moved("SKU-1", -11), moved("NOBODY KNOWS", -1), moved("SKU-1", -10), moved("SKU-1", 5))
    await pipeline.until_taken()
    assert await pipeline.shelf("SKU-1") == (5, 0, 0)
    assert await pipeline.dead_letters() == [(GROUP, "stock_short")] * 2
    assert await pipeline.rows("SELECT order_id, key, masked FROM dead_letter ORDER BY key") == [
        (None, b"NOBODY KNOWS", False),
        (None, b"SKU-1", False),
    ]
    with snapshot(str(pipeline.settings.sqlalchemy_url())) as connection:
        letters = letter_list(connection, Selection())
    assert sorted(letter["sku"] for letter in letters) == ["NOBODY KNOWS", "SKU-1"]
    assert any("  SKU NOBODY KNOWS  " in line for line in letter_lines(letters, now()))
    assert await pipeline.value("SELECT count(*) FROM stock WHERE sku = 'NOBODY KNOWS'") == 0
    short = await pipeline.value("SELECT id FROM dead_letter WHERE key = 'SKU-1'")
    too_soon = await redrive(pipeline, short)
    assert not too_soon.done
    assert too_soon.result.startswith("refused again: stock_short: 11 units of SKU SKU-1 cannot be taken out: 5 are")
    await pipeline.publish(moved("SKU-1", 6, 1))
    await pipeline.until_taken()
    now_it_goes = await redrive(pipeline, short)
    assert (now_it_goes.done, now_it_goes.result) == (True, "done: -11 of SKU SKU-1")
    assert await pipeline.shelf("SKU-1") == (0, 0, 0)
    assert (await redrive(pipeline, short)).result == "already redriven"
    # A copy that comes again later has no effect: the letter had its own inbox row.
    await pipeline.publish(moved("SKU-1", -11), moved("SKU-1", 20, 2))
    await pipeline.until_taken()
    assert await pipeline.shelf("SKU-1") == (20, 0, 0)
    await assert_all_is_well(pipeline)


async def test_a_wrong_adjustment_is_set_aside_and_names_no_order(pipeline: Pipeline) -> None:
    good = moved("SKU-1", 1)
    body = pipeline.codec.encode(good)
    await pipeline.publish_raw("StockAdjusted", b"SKU-2", body)
    await pipeline.publish_raw("StockAdjusted", b"SKU-1", b"garbage")
    await pipeline.publish_raw(
        "StockAdjusted", b"SKU-1", pipeline.codec.encode(moved("SKU-1", 2, reason="card 4242424242424242"))
    )
    await pipeline.publish(good, moved("SKU-1", 9, event_id=good.event_id))
    await pipeline.until_taken()
    assert sorted(await pipeline.dead_letters()) == [
        (GROUP, "card_number"),
        (GROUP, "conflict"),
        (GROUP, "key_mismatch"),
        (GROUP, "undecodable"),
    ]
    assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE order_id IS NOT NULL") == 0
    assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE position('4242'::bytea IN body) > 0") == 0
    assert await pipeline.shelf("SKU-1") == (11, 0, 0)
    await assert_all_is_well(pipeline)


async def test_a_thousand_skus_are_a_few_statements_and_orders_reserve_meanwhile(pipeline: Pipeline) -> None:
    skus = [f"S-{n:04}" for n in range(1_000)]
    adjusted = pipeline.publish(*(moved(sku, 3) for sku in skus), *(moved("SKU-1", 1, n) for n in range(200)))
    ordered = pipeline.publish(*(order(f"o-{n}") for n in range(3)))
    await asyncio.gather(adjusted, ordered)
    await pipeline.until_status("paid_and_confirmed", *(f"o-{n}" for n in range(3)))
    await pipeline.until_taken()
    assert await pipeline.value("SELECT count(*) FROM stock WHERE sku LIKE 'S-%' AND available = 3") == 1_000
    assert await pipeline.shelf("SKU-1") == (10 + 200 - 6, 0, 6)
    await assert_all_is_well(pipeline)

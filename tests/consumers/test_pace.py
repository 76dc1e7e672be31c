"""While orders that are under way are late, new ones wait; they never stand still."""

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.runtime.bounds import Bounds
from consumers.runtime.edges import Edges
from consumers.runtime.engine import Engine
from consumers.runtime.guard import Guard
from consumers.runtime.pace import Pace
from consumers.runtime.runner import Runner
from domain.ports.source import Message
from domain.reaction import Reaction
from domain.values import replace
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import WAIT_S
from tests.consumers.orders import order
from tests.consumers.sources import ListSource, consume, journal
from tests.simulated_time import run_simulated

LATE, PROMPT = timedelta(seconds=3), timedelta(seconds=0.5)
AN_HOUR_S, A_MOMENT_S = 3_600.0, 0.05
BATCH = 500
A_BACKLOG = 100_000
"""At a hundred a second it would wait for a quarter of an hour."""


class Asked(ListSource):
    """Has so many messages at each take, for ever. At the last of so many takes stop is set."""

    def __init__(self, stop: asyncio.Event, takes: int, size: int) -> None:
        super().__init__([], 1)
        self.asked = 0
        self._stop, self._takes, self._size = stop, takes, size

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        self.asked += 1
        if self.asked == self._takes:
            self._stop.set()
        await asyncio.sleep(0)
        return [Message("OrderConfirmed", 0, 1, b"order", None, (), 0)] * self._size


class Idle:
    """In place of what processes batches and passes over stretches: there are none."""

    is_full = is_due = False

    async def process(self, *_: object) -> None:
        """Do nothing with a batch."""

    async def let_go_on(self, *_: object) -> None:
        """Have nothing that waits."""


async def waited_s(reaction: Reaction, pace: Pace, wait_max_s: float, takes: int = 1, size: int = 0) -> float:
    """Run one consumer until it has asked for messages so often; return how many seconds that took."""
    stop, bounds = asyncio.Event(), Bounds(late_wait_max_s=wait_max_s)
    source, idle = Asked(stop, takes, size), cast("Any", Idle())
    runner = Runner(reaction, source, idle, idle, Edges([]), Guard(bounds), bounds, None, pace)
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(runner.run(stop), WAIT_S)
    assert source.asked == takes
    return asyncio.get_running_loop().time() - began


def late() -> Pace:
    """Make a pace in which others are late."""
    pace = Pace(1)
    pace.note("reserve_items", LATE)
    pace.note("capture_payment", LATE)
    return pace


async def test_while_another_is_late_new_orders_wait_for_a_bounded_time_behind_each_batch() -> None:
    assert await waited_s(authorize_payment, late(), A_MOMENT_S, takes=4, size=BATCH) >= 3 * A_MOMENT_S


async def test_small_batches_wait_less_and_what_is_no_backlog_does_not_wait() -> None:
    """Else batches of one would begin one order in five seconds, and single orders would come to their end so late."""
    assert await waited_s(authorize_payment, late(), AN_HOUR_S, takes=4, size=1) >= 3 / Bounds().late_begin_per_s
    await waited_s(authorize_payment, late(), AN_HOUR_S, takes=4)


async def test_new_orders_are_begun_as_soon_as_none_is_late() -> None:
    pace = late()
    asking = asyncio.ensure_future(waited_s(authorize_payment, pace, AN_HOUR_S, takes=2, size=A_BACKLOG))
    for _ in range(100):
        await asyncio.sleep(0)
    pace.note("reserve_items", PROMPT)
    assert pace.is_late
    assert not asking.done()
    pace.note_idle("capture_payment")
    await asyncio.wait_for(asking, WAIT_S)


class Meter:
    """Hears how long new orders were held back."""

    def __init__(self) -> None:
        self.held: list[float] = []

    def taken(self, reaction: str, messages: int) -> None:
        """Forget it."""

    def held_back(self, seconds: float) -> None:
        self.held.append(seconds)


class Flowing(Asked):
    """Takes a tenth of a second for each take. After some of them nobody is late any more, and later somebody again."""

    def __init__(self, stop: asyncio.Event, takes: int, pace: Pace, changes: dict[int, timedelta]) -> None:
        super().__init__(stop, takes, BATCH)
        self._pace, self._changes = pace, changes

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        await asyncio.sleep(0.1)
        if (age := self._changes.get(self.asked)) is not None:
            self._pace.note("reserve_items", age)
        return await super().take(limit, wait_s)


def held_back(takes: int, changes: dict[int, timedelta]) -> tuple[list[float], list[Any]]:
    """Run the first consumer in simulated time, with somebody late from the begin on; return what was told of it."""
    meter = Meter()

    async def story() -> None:
        stop, bounds, pace, idle = asyncio.Event(), Bounds(), Pace(1), cast("Any", Idle())
        pace.note("reserve_items", LATE)
        source = Flowing(stop, takes, pace, changes)
        await Runner(authorize_payment, source, idle, idle, Edges([]), Guard(bounds), bounds, meter, pace).run(stop)

    with capture_logs() as log:
        run_simulated(story())
    return meter.held, log


def test_that_new_orders_wait_is_one_line_and_its_end_another_and_all_seconds_are_counted() -> None:
    # They wait five seconds before each of 20 batches; then nobody is late.
    held, log = held_back(200, {20: PROMPT})
    assert held == pytest.approx([5.0] * 20)
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("new orders wait: those under way are late", "info"),
        ("new orders do not wait any more", "info"),
    ]
    assert log[0]["late"] == ["reserve_items"]
    assert (log[1]["waited_s"], log[1]["lasted_s"]) == (100, pytest.approx(20 * 5.1, abs=0.2))


def test_a_pause_between_two_waits_is_no_end() -> None:
    held, log = held_back(40, {10: PROMPT, 20: LATE})
    assert len(held) > 20
    assert [line["event"] for line in log] == ["new orders wait: those under way are late"]


def test_nothing_is_told_if_nobody_is_late_once_a_batch_was_taken() -> None:
    assert held_back(200, {0: PROMPT}) == ([], [])


async def test_what_is_under_way_goes_on_though_it_is_late() -> None:
    pace = Pace(1)
    pace.note("capture_payment", LATE)
    await waited_s(reserve_items, pace, AN_HOUR_S)


async def test_who_has_nothing_to_do_is_not_late() -> None:
    pace = Pace(1)
    pace.note("reserve_items", LATE)
    await waited_s(reserve_items, pace, AN_HOUR_S)
    assert not pace.is_late


class Watched(ListSource):
    """late: at each take, whether the engine then held anything for late."""

    engine: Engine

    def __init__(self, messages: Sequence[Message], batch: int) -> None:
        super().__init__(messages, batch)
        self.late: list[bool] = []

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        self.late.append(self.engine._pace.is_late)
        return await super().take(limit, wait_s)


@pytest.mark.integration
@pytest.mark.parametrize(("late_s", "late"), [(-1.0, True), (AN_HOUR_S, False)])
async def test_a_reaction_is_late_if_the_newest_event_of_its_batch_is_old(
    make_pipeline: MakePipeline, late_s: float, *, late: bool
) -> None:
    pipeline = await make_pipeline()
    pipeline.bounds = dataclasses.replace(pipeline.bounds, late_s=late_s)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first = await pipeline.join([authorize_payment])
    await pipeline.publish(order("one"), order("two"))
    await pipeline.until_status("payment_authorized", "one", "two")
    await first.leave()

    source = Watched(await journal(pipeline, reserve_items), 2)
    source.engine = pipeline.engine(pipeline.store())
    await consume(source.engine, reserve_items, source)
    await pipeline.until_status("items_reserved", "one", "two")
    assert source.late[:2] == [False, late]


@pytest.mark.integration
async def test_one_of_whose_batch_all_was_refused_is_not_late_any_more(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    pipeline.bounds = dataclasses.replace(pipeline.bounds, late_s=-1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first = await pipeline.join([authorize_payment])
    await pipeline.publish(order("one"), order("two"))
    await pipeline.until_status("payment_authorized", "one", "two")
    await first.leave()

    events = await journal(pipeline, reserve_items)
    broken = replace(events[0], offset=events[-1].offset + 1, value=b"{")
    source = Watched([*events, broken], len(events))
    source.engine = pipeline.engine(pipeline.store())
    await consume(source.engine, reserve_items, source)
    assert source.late[:3] == [False, True, False]
    assert await pipeline.rows("SELECT reason FROM dead_letter") == [("undecodable",)]

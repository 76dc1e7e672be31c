"""While orders that are under way are late, few new ones are begun; they never stand still."""

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.runtime.edges import Edges
from consumers.runtime.engine import Engine
from consumers.runtime.guard import Guard
from consumers.runtime.pace import SHARE, Pace
from consumers.runtime.ports import Bounds
from consumers.runtime.runner import Runner
from domain.ports.source import Message
from domain.reaction import Reaction
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import WAIT_S
from tests.consumers.orders import order
from tests.consumers.sources import ListSource, consume, journal

LATE, PROMPT = timedelta(seconds=3), timedelta(seconds=0.5)
AN_HOUR_S, AT_ONCE_S = 3_600.0, 0.01


class Asked(ListSource):
    """Has no message. limits: how many were asked for at each take; stop is set at the last."""

    def __init__(self, stop: asyncio.Event, takes: int) -> None:
        super().__init__([], 1)
        self.limits: list[int] = []
        self._stop, self._takes = stop, takes

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        self.limits.append(limit)
        if len(self.limits) == self._takes:
            self._stop.set()
        await asyncio.sleep(0)
        return ()


class Idle:
    """In place of what processes batches and passes over stretches: there are none."""

    is_full = is_due = False

    async def let_go_on(self, *_: object) -> None:
        """Have nothing that waits."""


async def asked_by(reaction: Reaction, pace: Pace, poll_s: float, takes: int = 1) -> list[int]:
    """Run one consumer for so many takes; return how many messages it asked for at each."""
    stop, bounds = asyncio.Event(), Bounds(batch_max=80, poll_s=poll_s)
    source, idle = Asked(stop, takes), cast("Any", Idle())
    runner = Runner(reaction, source, idle, idle, Edges([]), Guard(bounds), bounds, None, pace)
    await asyncio.wait_for(runner.run(stop), WAIT_S)
    return source.limits


async def test_while_another_is_late_a_part_of_a_batch_is_begun_each_time() -> None:
    pace = Pace(1)
    pace.note("reserve_items", LATE)
    assert await asked_by(authorize_payment, pace, AT_ONCE_S, takes=3) == [80 // SHARE] * 3
    assert pace.room(SHARE - 1) == 1


async def test_as_soon_as_none_is_late_a_whole_batch_is_begun() -> None:
    pace = Pace(1)
    pace.note("reserve_items", LATE)
    pace.note("capture_payment", LATE)
    asking = asyncio.ensure_future(asked_by(authorize_payment, pace, AN_HOUR_S))
    await asyncio.sleep(0)
    pace.note("reserve_items", PROMPT)
    assert pace.is_late
    pace.note_idle("capture_payment")
    assert await asyncio.wait_for(asking, WAIT_S) == [80]


async def test_what_is_under_way_goes_on_though_it_is_late() -> None:
    pace = Pace(1)
    pace.note("capture_payment", LATE)
    assert await asked_by(reserve_items, pace, AN_HOUR_S) == [80]


async def test_who_has_nothing_to_do_is_not_late() -> None:
    pace = Pace(1)
    pace.note("reserve_items", LATE)
    await asked_by(reserve_items, pace, AT_ONCE_S)
    assert not pace.is_late


class Watched(ListSource):
    """late: at each take, whether the engine then held anything for late."""

    engine: Engine

    def __init__(self, messages: Sequence[Message]) -> None:
        super().__init__(messages, len(messages))
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

    source = Watched(await journal(pipeline, reserve_items))
    source.engine = pipeline.engine(pipeline.store())
    await consume(source.engine, reserve_items, source)
    await pipeline.until_status("items_reserved", "one", "two")
    assert source.late[:2] == [False, late]

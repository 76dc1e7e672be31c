"""Each job of the sweep goes on by itself, however slow another is and whatever it cannot do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.runtime.engine import Engine
from consumers.runtime.sweep.job import CLAIM_MAX
from domain.errors import TooMuch
from domain.operation import OperationKind
from domain.ports.store import Claimed
from outbox.store import PostgresStore
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import WAIT_S, Pipeline
from tests.consumers.orders import order

pytestmark = pytest.mark.integration

JOBS = ("lapsed_holds", "delayed_orders", "stuck_orders", "claim_due")


Hinders = Callable[[asyncio.Event], Awaitable[Any]]


class Hindered:
    """A store one of whose questions has no answer; it counts all of them."""

    def __init__(self, store: PostgresStore, job: str, answer: Hinders) -> None:
        self._store = store
        self._job = job
        self._answer = answer
        self.asked: Counter[str] = Counter()
        self.over = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._store, name)
        if name not in JOBS:
            return asked

        async def ask(*arguments: Any) -> Any:
            self.asked[name] += 1
            return await (self._answer(self.over) if name == self._job else asked(*arguments))

        return ask


async def _late(over: asyncio.Event) -> Any:
    """Answer only once the test is over."""
    await over.wait()
    return []


async def _too_much(_: asyncio.Event) -> Any:
    raise TooMuch("canceling statement due to statement timeout")


@asynccontextmanager
async def sweeping(engine: Engine, store: Hindered) -> AsyncIterator[None]:
    """Run this sweep, and its settler, meanwhile."""
    stop = asyncio.Event()
    serving = asyncio.gather(engine.settler.run("settler"), engine.performer.watch())
    running = asyncio.ensure_future(engine.sweep.run(stop))
    try:
        yield
        await engine.sweep.at_rest()
    finally:
        store.over.set()
        stop.set()
        await asyncio.wait_for(running, WAIT_S)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def left_behind(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with an operation whose process was killed, and whose lease is over."""
    pipeline = await make_pipeline(delayed_notice_s=1)
    pipeline.gateway.hangs_on = {OperationKind.AUTHORIZE: False}
    begun = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation"), "the operation")
    await begun.crash()
    pipeline.gateway.hangs_on = {}
    await pipeline.end_leases()
    return pipeline


@pytest.mark.parametrize("answer", [_late, _too_much])
@pytest.mark.parametrize("job", JOBS)
async def test_a_job_that_is_slow_or_cannot_be_done_keeps_no_other_from_its_work(
    make_pipeline: MakePipeline, job: str, answer: Hinders
) -> None:
    pipeline = await left_behind(make_pipeline)
    store = Hindered(pipeline.store(), job, answer)

    async def all_asked() -> bool:
        # Two of them look less often, and both at once when the sweep begins.
        return all(store.asked[name] >= (1 if name in {job, "delayed_orders", "stuck_orders"} else 3) for name in JOBS)

    async with sweeping(pipeline.engine(store), store):
        await pipeline.until(all_asked, "every job looks for its work")
        if job != "claim_due":
            await pipeline.until_status("payment_authorized", "order-1")


async def test_a_job_that_asks_seldom_is_not_taken_for_one_that_stands_still(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    pipeline.bounds = replace(pipeline.bounds, stalled_after_s=0.5)
    store = Hindered(pipeline.store(), "", _late)
    engine = pipeline.engine(store)
    async with sweeping(engine, store):
        watch = asyncio.ensure_future(engine.guard.watch())
        stalled, _ = await asyncio.wait({watch}, timeout=2)
        watch.cancel()
    assert not stalled, watch.exception()


async def test_what_takes_the_database_too_long_is_asked_for_in_smaller_portions(make_pipeline: MakePipeline) -> None:
    pipeline = await left_behind(make_pipeline)
    asked: list[int] = []

    inner = pipeline.store()

    class OnlyFew(Hindered):
        """A store that takes a quarter of what is asked for, and no more."""

        async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
            asked.append(limit)
            if limit > CLAIM_MAX // 4:
                raise TooMuch("canceling statement due to statement timeout")
            return await inner.claim_due(limit, lease_s)

    store = OnlyFew(inner, "", _late)
    with capture_logs():
        async with sweeping(pipeline.engine(store), store):
            await pipeline.until_status("payment_authorized", "order-1")
    assert asked[:3] == [CLAIM_MAX, CLAIM_MAX // 2, CLAIM_MAX // 4]


@pytest.mark.parametrize("job", ["lapsed_holds", "delayed_orders", "stuck_orders"])
async def test_a_sweep_asked_for_once_does_its_other_jobs_and_then_says_which_it_could_not(
    make_pipeline: MakePipeline, job: str
) -> None:
    pipeline = await left_behind(make_pipeline)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(WAIT_S):
            await pipeline.engine(Hindered(pipeline.store(), job, _too_much)).once()
    assert caught.group_contains(TooMuch)
    assert await pipeline.status("order-1") == "payment_authorized"

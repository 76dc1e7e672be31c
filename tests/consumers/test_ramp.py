"""After an outage calls come back gradually: one in the first second, then twice as many in each.

Most of it runs in simulated time, where a second is a second however slow the machine is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumers.runtime.answers import Answer
from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from consumers.runtime.edges import Edge
from consumers.runtime.guard import Guard
from consumers.runtime.performing import OperationPerformer
from consumers.runtime.sweep.claims import DueOperations
from consumers.runtime.sweep.job import Tools
from domain.errors import DownForEverybody
from domain.ids import OperationId
from domain.operating import gateway_call
from domain.operation import GATEWAY_KINDS, GatewayCall, Operation, OperationKind, OperationState
from domain.outcome import Approved, GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, at_once
from domain.ports.store import Claimed
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import MoodyGateway
from tests.consumers.orders import order
from tests.domain import builders as build
from tests.schemas.builders import event_id
from tests.simulated_time import run_simulated

BOUNDS = Bounds(operations_open_max=100, breaker_failures=50)
RAMP = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 32, 6: 64}
"""How many calls may begin in each second after the first answer, up to the bound."""
UNLIMITED_S = len(RAMP)


class Side:
    """The other side, and the database that gets leases back: it notes when each call began.

    says: what it answers to calls; None: nothing. looks: what it answers to look-ups. takes_s: until an answer.
    """

    def __init__(self, says: GatewayOutcome | None = Approved(), looks: GatewayOutcome = NotFound()) -> None:  # noqa: B008 - frozen values
        self.says = says
        self.looks = looks
        self.takes_s = 0.0
        self.begun: list[float] = []
        self.given_back: list[Operation] = []
        self.due: list[Claimed] = []

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        calls = [call for call in calls if begin(call)]
        self._note(calls)
        await asyncio.sleep(self.takes_s)
        if self.says is None:
            await asyncio.Event().wait()
        yield [GatewayAnswer(call.operation_id, cast("GatewayOutcome", self.says)) for call in calls]

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        self._note(calls)
        yield [GatewayAnswer(call.operation_id, self.looks) for call in calls]

    async def give_back(self, operations: Sequence[Operation]) -> None:
        self.given_back += operations

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        assert lease_s == build.RULES.lease_s
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    def per_second(self, since: float) -> dict[int, int]:
        """Return how many calls began in each second since then."""
        return dict(Counter(int(at - since) for at in self.begun if at >= since))

    def _note(self, calls: Sequence[GatewayCall]) -> None:
        self.begun += [asyncio.get_running_loop().time()] * len(calls)


def performer_of(side: Side, breaker: Breaker, put: Any = lambda _: None) -> OperationPerformer:
    def call(claimed: Claimed) -> GatewayCall:
        return gateway_call(claimed.operation, claimed.token)

    return OperationPerformer(side, call, cast("Any", side), build.RULES, BOUNDS, breaker, put)


def claimed(count: int, state: OperationState = OperationState.OPEN) -> list[Claimed]:
    until = asyncio.get_running_loop().time() + build.RULES.lease_s
    return [
        Claimed(
            build.operation(OperationKind.CAPTURE, operation_id=OperationId(event_id(f"call {n}")), state=state),
            None,
            until,
        )
        for n in range(count)
    ]


async def after_an_outage() -> Breaker:
    """Return a breaker that was open, and whose trial call has just been answered. Nothing of the clock is at zero."""
    breaker = Breaker(BOUNDS)
    breaker.trip("HTTP 503")
    await breaker.wait_until_closed()
    assert breaker.room(1_000) == 1
    breaker.note_begin()
    await asyncio.sleep(0.25)
    breaker.note_answer()
    return breaker


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("batches", [1, 500])
def test_calls_begin_in_numbers_that_double_each_second_until_nothing_limits_them(batches: int) -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        began, performer, calls = now(), performer_of(side, breaker), claimed(500)
        size = len(calls) // batches
        for n in range(batches):
            performer.submit(calls[n * size : (n + 1) * size])
        await performer.drain()
        assert side.per_second(began) == {**RAMP, UNLIMITED_S: 500 - sum(RAMP.values())}
        assert (side.given_back, len(performer.open), breaker.ramp) == ([], 0, None)

    with capture_logs() as log:
        run_simulated(story())
    assert [line["event"] for line in log] == [
        "the gateway is down for everybody",
        "the gateway answers again",
        "calls to the gateway are no longer held back",
    ]


def test_without_an_outage_no_call_waits() -> None:
    async def story() -> None:
        side, breaker = Side(), Breaker(BOUNDS)
        for failure in range(BOUNDS.breaker_failures - 1):
            breaker.note_failure(f"HTTP 503, {failure}")
        performer = performer_of(side, breaker)
        performer.submit(claimed(500))
        await performer.drain()
        assert (len(side.begun), now()) == (500, 0)

    run_simulated(story())


def test_a_lone_call_waits_for_nothing_while_calls_come_back() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        performer = performer_of(side, breaker)
        for each in claimed(5):
            began = now()
            performer.submit([each])
            await performer.drain()
            assert now() == began
            await asyncio.sleep(BOUNDS.ramp_step_s)
        assert len(side.begun) == 5

    run_simulated(story())


def test_calls_behind_look_ups_count_as_well() -> None:
    async def story() -> None:
        answered: list[Answer] = []
        side, breaker = Side(), await after_an_outage()
        began, performer = now(), performer_of(side, breaker, answered.extend)
        performer.submit(claimed(30, OperationState.UNKNOWN))
        await performer.drain()
        second = side.per_second(began)
        assert all(calls <= RAMP.get(n, 0) or n >= UNLIMITED_S for n, calls in second.items()), second
        assert sum(second.values()) == 30 + len(answered)
        # What could not be called in time is free for whoever claims it next, and nothing is lost.
        assert len(answered) + len(side.given_back) == 30

    run_simulated(story())


def test_a_call_that_fails_in_the_first_second_opens_it_again_and_what_waits_is_given_back() -> None:
    async def story() -> None:
        side, breaker = Side(NotExecuted("HTTP 503")), await after_an_outage()
        performer = performer_of(side, breaker)
        performer.submit(claimed(40))
        await performer.drain()
        assert (len(side.begun), len(side.given_back), len(performer.open)) == (1, 39, 0)
        assert (breaker.is_down, breaker.room(100), breaker.ramp) == (True, 0, None)
        # The next outage has a ramp of its own, again from one call.
        await breaker.wait_until_closed()
        breaker.note_answer()
        assert breaker.room(100) == 1

    run_simulated(story())


def test_a_refused_key_stops_it_in_any_second() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        performer = performer_of(side, breaker)
        performer.submit(claimed(100))
        await asyncio.sleep(3.5)
        assert len(side.begun) == 1 + 2 + 4 + 8
        breaker.trip(str(DownForEverybody("HTTP 401")))
        await performer.drain()
        assert (len(side.begun), len(side.given_back)) == (15, 85)

    run_simulated(story())


def test_some_failures_between_answers_do_not_stop_it() -> None:
    async def story() -> None:
        breaker = await after_an_outage()
        await asyncio.sleep(3)
        for _ in range(20):
            for _ in range(7):
                breaker.note_failure("HTTP 503")
            breaker.note_answer()
        assert breaker.room(100) == 8

    run_simulated(story())


def test_late_failures_of_calls_from_before_say_nothing_about_now() -> None:
    async def story() -> None:
        side, breaker = Side(Unknown("time-out")), Breaker(BOUNDS)
        side.takes_s = 10
        performer = performer_of(side, breaker)
        performer.submit(claimed(40))
        await asyncio.sleep(5)
        breaker.trip("HTTP 503")
        breaker.note_answer()
        await performer.drain()
        assert not breaker.is_down

    run_simulated(story())


def test_whoever_takes_calls_and_says_nothing_gets_one_a_second_and_no_more() -> None:
    async def story() -> None:
        side, breaker = Side(says=None), await after_an_outage()
        began, performer = now(), performer_of(side, breaker)
        performer.submit(claimed(100))
        await asyncio.sleep(10)
        assert side.per_second(began) == dict.fromkeys(range(10), 1)
        await performer.give_up()
        assert len(side.given_back) == 100

    run_simulated(story())


def test_a_slow_side_gets_more_with_each_second_in_which_it_answers() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        side.takes_s = 2.5
        began, performer = now(), performer_of(side, breaker)
        performer.submit(claimed(100))
        await performer.drain()
        assert side.per_second(began) == {0: 1, 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 16, 7: 32, 8: 35}

    run_simulated(story())


def test_consumers_take_no_more_than_may_begin_and_are_woken_each_second() -> None:
    async def story() -> None:
        breaker, rooms = await after_an_outage(), []
        while breaker.ramp is not None:
            rooms.append(breaker.room(10))
            assert await breaker.ramp.take(1_000) == breaker.ramp.limit
            assert (breaker.is_open, breaker.room(10)) == (True, 0)
            breaker.note_answer()
            await breaker.wait_until_closed()
        assert rooms == [1, 2, 4, 8, 10, 10, 10]
        assert (breaker.is_open, breaker.room(1_000)) == (False, 1_000)

    run_simulated(story())


def test_a_stop_of_the_ramp_wakes_nobody_before_the_pause_is_over() -> None:
    async def story() -> None:
        breaker = await after_an_outage()
        assert breaker.ramp is not None
        await breaker.ramp.take(1)
        waiting = asyncio.ensure_future(breaker.wait_until_closed())
        await asyncio.sleep(0.5)
        began = now()
        breaker.trip("HTTP 503")
        await waiting
        assert now() - began == pytest.approx(BOUNDS.breaker_pause_s)

    run_simulated(story())


def test_with_one_open_operation_at_most_there_is_nothing_to_limit() -> None:
    async def story() -> None:
        breaker = Breaker(replace(BOUNDS, operations_open_max=1))
        breaker.trip("HTTP 503")
        breaker.note_answer()
        assert (breaker.ramp, breaker.room(1)) == (None, 1)

    run_simulated(story())


def test_who_sweeps_once_waits_for_the_next_second_until_nothing_is_due() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        began, performer = now(), performer_of(side, breaker)
        side.due = claimed(60)
        tools = Tools(cast("Any", _Ports(side)), {}, build.RULES, Guard(BOUNDS), cast("Any", None), cast("Any", None))
        job = DueOperations(tools, BOUNDS, Edge(GATEWAY_KINDS, performer, breaker), lambda those: those)
        while await job.do(None):
            await performer.drain()
        assert side.per_second(began) == {0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 29}

    run_simulated(story())


class _Ports:
    def __init__(self, side: Side) -> None:
        self.store = side


class Watched:
    """The pipeline's gateway; notes of each group of calls how many they are, and how many might begin."""

    def __init__(self, gateway: MoodyGateway) -> None:
        self._gateway = gateway
        self.breaker: Breaker | None = None
        self.groups: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        if self.breaker is not None and self.breaker.ramp is not None:
            self.groups.append((len(calls), self.breaker.ramp.limit))
        async for group in self._gateway.perform(calls, begin):
            yield group


@pytest.mark.integration
async def test_orders_that_waited_through_an_outage_come_back_gradually_and_all_are_paid(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    pipeline.bounds = replace(pipeline.bounds, breaker_failures=5, breaker_pause_s=0.1, breaker_pause_max_s=0.1)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    watched = Watched(pipeline.gateway)
    pipeline.gateway.is_busy = True
    orders = [f"order-{n}" for n in range(100)]

    async def told(event: str) -> bool:
        return any(line["event"] == event for line in log)

    with capture_logs() as log:
        member = await pipeline.join(ports={"gateway": watched})
        watched.breaker = member.engine.breaker
        await pipeline.publish(*map(order, orders))
        await pipeline.until(lambda: told("the gateway is down for everybody"), "an alarm")
        pipeline.gateway.is_busy = False
        await pipeline.until_status("paid_and_confirmed", *orders)
        await pipeline.until(lambda: told("calls to the gateway are no longer held back"), "the end of the ramp")
    assert watched.groups
    assert all(calls <= limit for calls, limit in watched.groups), watched.groups

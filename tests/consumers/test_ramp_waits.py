"""What waits in the ramp after an outage: behind look-ups, beyond its lease, beside failures from before."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from consumers.order_confirmed import authorize_payment
from consumers.runtime.answers import Answer
from consumers.runtime.breaker import Breaker
from consumers.runtime.edges import Edge, Edges
from consumers.runtime.guard import Guard
from consumers.runtime.runner import Runner
from domain.operation import GATEWAY_KINDS, OperationState
from domain.outcome import Unknown
from domain.ports.source import Message
from tests.consumers.sources import ListSource
from tests.consumers.test_pace import Idle, late
from tests.consumers.test_ramp import BOUNDS, Side, after_an_outage, claimed, now, performer_of
from tests.domain import builders as build
from tests.simulated_time import SimulatedLoop, run_simulated

LIMITS = (1, 2, 4, 8, 16, 32, 64)


def test_look_ups_that_wait_do_not_keep_the_calls_behind_them_from_beginning() -> None:
    async def story() -> None:
        answered: list[Answer] = []
        side, breaker = Side(), await after_an_outage()
        began, performer = now(), performer_of(side, breaker, answered.extend)
        for each in claimed(100, OperationState.UNKNOWN):
            performer.submit([each])
        await performer.drain()
        # A second of look-ups alone does not double, so it takes two for each doubling at first.
        second = side.per_second(began)
        assert [second[n] for n in range(5)] == [1, 1, 2, 2, 4]
        assert all(calls <= LIMITS[n] for n, calls in second.items() if n < len(LIMITS)), second
        assert (len(answered), side.given_back, breaker.ramp) == (100, [], None)

    run_simulated(story())


def test_a_side_that_answers_look_ups_and_no_call_gets_no_more_of_them() -> None:
    async def story() -> None:
        side, breaker = Side(says=None), await after_an_outage()
        began, performer = now(), performer_of(side, breaker)
        for each in claimed(50, OperationState.UNKNOWN):
            performer.submit([each])
        await asyncio.sleep(20)
        assert side.per_second(began) == dict.fromkeys(range(20), 1)
        await performer.give_up()

    run_simulated(story())


def test_look_ups_take_what_the_calls_behind_others_leave_of_a_second() -> None:
    async def story() -> None:
        breaker = await after_an_outage()
        ramp = breaker.ramp
        assert ramp is not None
        await asyncio.sleep(2.5 * BOUNDS.ramp_step_s)
        assert (ramp.limit, await ramp.take(4)) == (4, 4)
        first, behind = asyncio.ensure_future(ramp.take(9)), asyncio.ensure_future(ramp.take(3, behind=True))
        ramp.note_answer()
        began = now()
        assert tuple(await asyncio.gather(first, behind)) == (5, 3)
        assert now() - began == BOUNDS.ramp_step_s / 2
        ramp.stop()

    run_simulated(story())


def test_calls_behind_look_ups_that_are_broken_off_make_room_for_others() -> None:
    async def story() -> None:
        breaker = await after_an_outage()
        ramp = breaker.ramp
        assert ramp is not None
        assert await ramp.take(1) == 1
        behind = asyncio.ensure_future(ramp.take(3, behind=True))
        other = asyncio.ensure_future(ramp.take(1))
        await asyncio.sleep(BOUNDS.ramp_step_s / 2)
        behind.cancel()
        assert await other == 1
        ramp.stop()

    run_simulated(story())


def test_what_waits_longer_than_its_lease_is_given_back_at_once_and_holds_up_nobody() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        performer = performer_of(side, breaker)
        performer.submit(claimed(100))
        await asyncio.sleep(BOUNDS.ramp_step_s / 2)
        cast("SimulatedLoop", asyncio.get_running_loop()).freeze(2 * build.RULES.lease_s)
        woken = now()
        await performer.drain()
        assert (len(side.begun), len(side.given_back), len(performer.open)) == (1, 99, 0)
        # New calls have the whole of each second, and the ramp goes on.
        performer.submit(claimed(100))
        await performer.drain()
        assert side.per_second(woken) == {0: 2, 1: 4, 2: 8, 3: 16, 4: 32, 5: 38}

    run_simulated(story())


def test_operations_whose_lease_is_over_when_they_come_are_not_counted_as_calls() -> None:
    async def story() -> None:
        side, breaker = Side(), await after_an_outage()
        performer, late = performer_of(side, breaker), claimed(3)
        cast("SimulatedLoop", asyncio.get_running_loop()).freeze(build.RULES.lease_s - BOUNDS.call_max_s)
        performer.submit(late)
        await performer.drain()
        assert breaker.ramp is not None
        assert (side.begun, len(side.given_back), breaker.ramp.left) == ([], 3, breaker.ramp.limit)
        breaker.ramp.stop()

    run_simulated(story())


def test_however_many_calls_from_before_end_late_they_do_not_open_it_again() -> None:
    async def story() -> None:
        side, breaker = Side(Unknown("time-out")), Breaker(BOUNDS)
        side.takes_s = 20
        performer = performer_of(side, breaker)
        performer.submit(claimed(2 * BOUNDS.breaker_failures))
        await asyncio.sleep(18)
        breaker.trip("HTTP 503")
        breaker.note_answer()
        await performer.drain()
        assert not breaker.is_down
        assert breaker.ramp is not None
        breaker.ramp.stop()

    run_simulated(story())


def test_calls_that_fail_after_an_outage_open_it_though_others_from_before_end_late() -> None:
    async def story() -> None:
        breaker = await after_an_outage()
        breaker.note_failure("time-out", begun_at=0.0)
        assert not breaker.is_down
        breaker.note_failure("HTTP 503", begun_at=now())
        assert breaker.is_down

    run_simulated(story())


class Asked(ListSource):
    """Notes how many messages it is asked for; has fifty the first time, and sets stop the second time."""

    def __init__(self, stop: asyncio.Event) -> None:
        super().__init__([], 1)
        self.limits: list[int] = []
        self._stop = stop

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        self.limits.append(limit)
        if len(self.limits) > 1:
            self._stop.set()
            return []
        return [Message("OrderConfirmed", 0, 1, b"order", None, (), 0)] * 50


def test_a_consumer_that_finds_no_place_left_after_its_wait_asks_for_no_message() -> None:
    async def story() -> None:
        stop, breaker = asyncio.Event(), await after_an_outage()
        source, idle = Asked(stop), cast("Any", Idle())
        edges = Edges([Edge(GATEWAY_KINDS, performer_of(Side(), breaker), breaker)])
        runner = Runner(authorize_payment, source, idle, idle, edges, Guard(BOUNDS), BOUNDS, None, late())
        running = asyncio.ensure_future(runner.run(stop))
        await asyncio.sleep(BOUNDS.ramp_step_s / 4)
        assert breaker.ramp is not None
        assert await breaker.ramp.take(1) == 1  # while it waits for orders that are late
        await running
        # To ask Kafka's client for none is an error, after which partitions are read one by one.
        assert source.limits == [1, 1]
        breaker.ramp.stop()

    run_simulated(story())

"""What waits in the ramp after an outage: behind look-ups, beyond its lease, beside failures from before."""

import asyncio
from typing import cast

from consumers.runtime.breaker import Breaker
from domain.outcome import Unknown
from tests.consumers.test_ramp import BOUNDS, Side, after_an_outage, claimed, now, performer_of
from tests.domain import builders as build
from tests.simulated_time import SimulatedLoop, run_simulated

LIMITS = (1, 2, 4, 8, 16, 32, 64)


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

"""What waits in the ramp after an outage: behind look-ups, beyond its lease, beside failures from before."""

import asyncio
from typing import cast

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

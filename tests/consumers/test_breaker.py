"""The breaker: how much it lets through while nobody knows whether the gateway answers."""

import asyncio
from dataclasses import replace

from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from tests.eventually import EVENTUALLY_S

BOUNDS = Bounds(breaker_failures=3, breaker_pause_s=0.01, breaker_pause_max_s=0.02)


async def tripped(bounds: Bounds = BOUNDS) -> Breaker:
    breaker = Breaker(bounds)
    for _ in range(BOUNDS.breaker_failures):
        assert breaker.room(100) == 100
        breaker.note_failure("HTTP 429")
    assert breaker.room(100) == 0
    return breaker


async def pause_is_over(breaker: Breaker) -> None:
    async with asyncio.timeout(EVENTUALLY_S):
        await breaker.wait_until_closed()


async def test_after_a_pause_one_call_is_let_through_and_one_more_after_each_pause_without_an_answer() -> None:
    breaker = await tripped()
    for _ in range(3):
        await pause_is_over(breaker)
        assert breaker.room(100) == 1
        assert breaker.room(0) == 0
        breaker.note_begin()
        assert breaker.room(100) == 0


async def test_failure_of_that_call_opens_it_again_at_once() -> None:
    breaker = await tripped()
    await pause_is_over(breaker)
    breaker.note_failure("HTTP 429")
    assert breaker.is_open


async def test_who_has_no_call_to_make_says_for_a_while_only_that_it_is_down() -> None:
    breaker = Breaker(replace(BOUNDS, breaker_seen_s=0.05))

    def seen() -> bool:
        return breaker.is_seen_down

    assert not seen()
    breaker.trip("HTTP 503")
    assert seen()
    async with asyncio.timeout(EVENTUALLY_S):
        while seen():  # noqa: ASYNC110 - only time ends it
            await asyncio.sleep(0.01)
    assert breaker.is_down
    breaker.note_failure("HTTP 503")
    assert seen()
    breaker.note_answer()
    assert not seen()


async def test_it_is_seen_down_through_a_pause_that_is_longer_than_what_is_seen_counts() -> None:
    breaker = Breaker(replace(BOUNDS, breaker_pause_s=60, breaker_pause_max_s=60, breaker_seen_s=0.01))
    breaker.trip("HTTP 503")
    loop = asyncio.get_running_loop()
    later = loop.time() + 10 * 0.01
    while loop.time() < later:
        assert breaker.is_seen_down
        await asyncio.sleep(0.01)
    breaker.note_answer()
    assert not breaker.is_seen_down


async def test_answer_closes_it_for_good() -> None:
    breaker = await tripped(replace(BOUNDS, operations_open_max=1))  # so few that they need not come back gradually
    breaker.note_answer()
    assert breaker.room(100) == 100
    # The end of the pause that was under way would come before this, and would make one failure enough.
    behind = asyncio.Event()
    asyncio.get_running_loop().call_later(BOUNDS.breaker_pause_max_s, behind.set)
    await behind.wait()
    breaker.note_failure("HTTP 429")
    assert breaker.room(100) == 100


async def test_calls_that_are_begun_as_ever_are_no_test_of_the_gateway() -> None:
    breaker = Breaker(BOUNDS)
    breaker.note_begin()
    assert breaker.room(100) == 100

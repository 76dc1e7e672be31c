"""The breaker: how much it lets through while nobody knows whether the gateway answers."""

import asyncio

from consumers.runtime.breaker import Breaker
from consumers.runtime.ports import Bounds

BOUNDS = Bounds(breaker_failures=3, breaker_pause_s=0.01, breaker_pause_max_s=0.02)


async def tripped() -> Breaker:
    breaker = Breaker(BOUNDS)
    for _ in range(BOUNDS.breaker_failures):
        assert breaker.room(100) == 100
        breaker.note_failure("HTTP 429")
    assert breaker.room(100) == 0
    return breaker


async def pause_is_over(breaker: Breaker) -> None:
    async with asyncio.timeout(10):
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


async def test_answer_closes_it_for_good() -> None:
    breaker = await tripped()
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

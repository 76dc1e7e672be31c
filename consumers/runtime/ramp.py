"""Calls come back gradually after an outage: one in the first second, twice as many in each later one.

All that waited would else be sent at once to a dependency that has just come back, and might bring it down again.
"""

import asyncio
from collections.abc import Callable


class Ramp:
    """Limits how many calls begin in each step, until the limit of a step has grown to `most`. It runs once made.

    step_s: how long a step is. over: called when the ramp has come to its end, and not if it is stopped.
    The limit doubles from one step to the next. It stays if calls were begun in the step and nobody answered in it: a
    dependency that takes calls and says nothing does not get more of them.
    """

    def __init__(self, most: int, step_s: float, over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._most = most
        self._step_s = step_s
        self._over = over
        self._limit = 1
        self._begun = 0
        self._waiting = 0
        self._failures = 0
        self._is_answered = False
        self._stopped = False
        self._is_over = False
        self._turn = asyncio.Lock()
        self._next_step = asyncio.Event()
        self._timer = self._loop.call_later(step_s, self._end_step)

    @property
    def limit(self) -> int:
        """Return how many calls may begin in this step."""
        return self._limit

    @property
    def left(self) -> int:
        """Return how many more calls may begin in this step, besides those that wait already."""
        return max(self._limit - self._begun - self._waiting, 0)

    async def take(self, most: int) -> int:
        """Wait until calls may begin, in the order of asking; return how many of these may, and count them as begun.

        Return 0 if the ramp was stopped meanwhile: then none of them may.
        """
        self._waiting += most
        try:
            async with self._turn:
                while self._begun >= self._limit and not (self._stopped or self._is_over):
                    await self._next_step.wait()
                if self._stopped:
                    return 0
                taken = most if self._is_over else min(most, self._limit - self._begun)
                self._begun += taken
                return taken
        finally:
            self._waiting -= most

    async def wait_for_next_step(self) -> None:
        """Wait until this step is over, or the ramp is stopped."""
        await self._next_step.wait()

    def note_answer(self) -> None:
        """Note that a call had an answer."""
        self._is_answered = True
        self._failures = 0

    def note_failure(self) -> bool:
        """Note a call without an answer. Return whether so many failed in a row as may begin in one step."""
        self._failures += 1
        return self._failures >= self._limit

    def stop(self) -> None:
        """End it: the dependency is down again. Who waits may not begin."""
        self._stopped = True
        self._timer.cancel()
        self._next_step.set()

    def _end_step(self) -> None:
        if self._is_answered or not self._begun:
            self._limit *= 2
        self._begun, self._is_answered = 0, False
        self._next_step.set()
        self._next_step = asyncio.Event()
        if self._limit < self._most:
            # From now, not from when this step should have ended: a process that was frozen has asked nobody meanwhile.
            self._timer = self._loop.call_later(self._step_s, self._end_step)
        else:
            self._is_over = True
            self._over()

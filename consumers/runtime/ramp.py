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
        self._behind = 0
        self._failures = 0
        self._is_answered = False
        self._stopped = False
        self._is_over = False
        self._turn = asyncio.Lock()
        self._turn_behind = asyncio.Lock()
        self._change = asyncio.Event()
        self._timer = self._loop.call_later(step_s, self._end_step)

    @property
    def limit(self) -> int:
        """Return how many calls may begin in this step."""
        return self._limit

    @property
    def left(self) -> int:
        """Return how many more calls may begin in this step, besides those that wait already."""
        return max(self._limit - self._begun - self._waiting, 0)

    async def take(self, most: int, *, behind: bool = False) -> int:
        """Wait until calls may begin, in the order of asking; return how many of these may, and count them as begun.

        behind: these calls are behind look-ups that found nothing. They come first: else all look-ups that wait would
        come before the first call, and without calls that are answered the limit does not grow.
        Return 0 if the ramp was stopped meanwhile: then none of them may.
        """
        self._waiting += most
        self._behind += behind
        try:
            async with self._turn_behind if behind else self._turn:
                while self._is_full(behind=behind):
                    await self._change.wait()
                if self._stopped:
                    return 0
                taken = most if self._is_over else min(most, self._limit - self._begun)
                self._begun += taken
                return taken
        finally:
            self._waiting -= most
            self._behind -= behind
            if behind and not self._behind:
                self._wake()  # others may have what is left of this step

    async def wait_for_change(self) -> None:
        """Wait until this step is over, or the ramp is stopped, or others may begin calls in this step."""
        await self._change.wait()

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
        self._change.set()

    def _is_full(self, *, behind: bool) -> bool:
        """Whether such a call must wait."""
        if self._stopped or self._is_over:
            return False
        return self._begun >= self._limit or (self._behind > 0 and not behind)

    def _wake(self) -> None:
        if not self._stopped:
            self._change.set()
            self._change = asyncio.Event()

    def _end_step(self) -> None:
        if self._is_answered or not self._begun:
            self._limit *= 2
        self._begun, self._is_answered = 0, False
        self._wake()
        if self._limit < self._most:
            # From now, not from when this step should have ended: a process that was frozen has asked nobody meanwhile.
            self._timer = self._loop.call_later(self._step_s, self._end_step)
        else:
            self._is_over = True
            self._over()

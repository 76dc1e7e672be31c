"""Payment tokens in dead letters: erased once PAYMENTS_DEAD_LETTER_TOKEN_DAYS are over.

Letters of releases that kept the token in the body are searched first, so that their time counts, too.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from consumers.runtime.sweep.job import CLAIM_MAX, Job, Tools
from domain.ports.letters import KeptLetters

EVERY_S: Final = 600.0
NO_EVENT: Final = ""
"""Of letters of a consumer that this release does not have: they may hold a token."""


class LetterTokens(Job):
    """Erases tokens in portions. days: how long a letter keeps its token."""

    name = "sweep tokens"

    def __init__(self, tools: Tools, letters: KeptLetters, days: int) -> None:
        super().__init__(tools)
        self._letters = letters
        self._days = days
        self._types: Mapping[str, str] = {r.group: r.trigger.TYPE for r in tools.reactions.values()}
        self._next_s = 0.0

    async def do(self, stop: asyncio.Event | None) -> int:
        """Erase what is due, all of it; return 0, for no operation was begun."""
        now = asyncio.get_running_loop().time()
        if now < self._next_s:
            return 0
        self._next_s = now + EVERY_S
        hidden = erased = 0
        while found := await self._look(lambda most: self._letters.hide_tokens(self._hide, most), stop):
            hidden += found
            if stop is not None and stop.is_set():
                return 0
        while found := await self._look(lambda most: self._letters.erase_tokens(self._days, most), stop):
            erased += found
            if found < CLAIM_MAX or (stop is not None and stop.is_set()):
                break
        if hidden or erased:
            self._log.info("payment tokens in dead letters", searched=hidden, erased=erased)
        return 0

    def _hide(self, group: str, body: bytes) -> bytes | None:
        return self._tools.ports.mask.hide(self._types.get(group, NO_EVENT), body).body

"""Stretches that cannot be read: an operator's word, or the loss of the messages, lets a partition go on."""

import asyncio
from typing import Final

import structlog

from consumers.runtime.guard import Guard
from consumers.runtime.letters import Letters
from domain.alarms import ring
from domain.ports.source import Source, Stretch
from domain.ports.store import Changes, DeadLetter, Store, Transaction

LOOK_S: Final = 2
"""Between questions whether an operator has passed over a stretch, while a partition stands before one."""


class Passing:
    """Lets the partitions of one consumer group go on. name: of the loop that waits for it."""

    def __init__(self, name: str, group: str, store: Store, letters: Letters, guard: Guard) -> None:
        self._name = name
        self._group = group
        self._store = store
        self._letters = letters
        self._guard = guard
        self._look_at = 0.0
        self._log = structlog.get_logger("consumers.passing").bind(group=group)

    async def let_go_on(self, source: Source, stop: asyncio.Event) -> None:
        """Go on behind stretches that are gone for good, or passed over by an operator; each leaves a dead letter.

        Raises Transient when the offset cannot be committed; the partition has gone on all the same.
        """
        stretches = source.blocked()
        now = asyncio.get_running_loop().time()
        if not stretches or now < self._look_at:
            return
        self._look_at = now + LOOK_S
        for stretch in stretches:
            last = await self._guard.transact(self._name, lambda _, stretch=stretch: self._end_of(stretch), stop)  # type: ignore[misc]
            if last is not None:
                await source.pass_over(stretch, last)

    async def _end_of(self, stretch: Stretch) -> int | None:
        """Return the last offset to pass over, once its letter is written; None: the partition has to wait."""
        if stretch.gone:
            assert stretch.last is not None, "what was deleted ends where the partition begins"
            await self._write(stretch, stretch.last, stretch.cause, None)
            return stretch.last
        passed = await self._store.passed(self._group, stretch.topic, stretch.partition, stretch.first)
        if passed is None:
            return None
        detail = f"{passed.by} passed over it ({passed.reason}): {stretch.cause}"
        if passed.applied:
            # We were interrupted before the offset was committed; or the word was about a topic that is deleted.
            letter = self._letters.of_stretch(stretch, passed.last, detail, 0)
            return passed.last if await self._store.has_letter(letter) else None
        await self._write(stretch, passed.last, detail, passed.passed_id)
        return passed.last

    async def _write(self, stretch: Stretch, last: int, detail: str, passed_id: int | None) -> None:
        async with self._store.transaction(few=True) as transaction:
            letter = await self._letter(transaction, stretch, last, detail)
            await transaction.save(Changes(dead_letters=[letter], passed=[] if passed_id is None else [passed_id]))
        ring(
            self._log,
            letter.reason.value,
            "dead letter",
            detail=detail,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            to_offset=last,
        )

    async def _letter(self, transaction: Transaction, stretch: Stretch, last: int, detail: str) -> DeadLetter:
        await transaction.load(())  # reads the clock
        return self._letters.of_stretch(stretch, last, detail, int(transaction.now.timestamp() * 1000))

"""Letting a partition go on behind what cannot be read: if an operator says so, or if Kafka has lost the messages."""

import asyncio
from dataclasses import replace
from typing import Final

import structlog

from consumers.runtime.guard import Guard
from consumers.runtime.letters import Letters, ids_of
from consumers.runtime.reading import Held
from domain.alarms import ring
from domain.dead_letter import DeadLetter
from domain.ports.source import Passed, Source, Stretch
from domain.ports.store import Changes, Store
from domain.reaction import Reaction
from schemas.events import OwnEvent

LOOK_S: Final = 2
"""While a partition stands still: how often we ask whether an operator has passed over the stretch."""


class Passing:
    """Lets the partitions of one reaction's topic go on."""

    def __init__(self, reaction: Reaction, store: Store, letters: Letters, guard: Guard) -> None:
        self._name = reaction.name
        self._group = reaction.group
        self._event_type = reaction.trigger.TYPE
        self._is_ours = issubclass(reaction.trigger, OwnEvent)
        self._store = store
        self._letters = letters
        self._guard = guard
        self._look_at = 0.0
        self._log = structlog.get_logger("consumers.passing").bind(group=reaction.group)

    async def let_go_on(self, source: Source, stop: asyncio.Event) -> None:
        """Go on behind stretches that are lost, or that an operator passed over. Each leaves a dead letter.

        Raises Transient when the offset cannot be committed. The partition has gone on nevertheless.
        """
        if source.has_begun_anew() and self._is_ours:
            await self._guard.transact(self._name, lambda _: self._send_unseen(), stop)
        stretches = source.blocked()
        now = asyncio.get_running_loop().time()
        if not stretches or now < self._look_at:
            return
        self._look_at = now + LOOK_S
        for stretch in stretches:
            await self._go_on_behind(stretch, source, stop)

    async def pass_if_asked(self, held: Held, source: Source, stop: asyncio.Event) -> bool:
        """If an operator has passed over this message, keep its letter and return True: the caller then commits."""
        letter = held.letter
        if letter is None:
            return False
        return await self._guard.transact(self._name, lambda _: self._pass_message(letter, source.topic_id), stop)

    async def _go_on_behind(self, stretch: Stretch, source: Source, stop: asyncio.Event) -> None:
        last = await self._guard.transact(self._name, lambda _: self._end_of(stretch), stop)
        if last is not None:
            await source.pass_over(stretch, last)

    async def _send_unseen(self) -> None:
        """Send again what was on a topic of ours before it was deleted."""
        async with self._store.transaction() as transaction:
            await transaction.load(())
            count = await transaction.send_unseen(self._group, self._event_type)
        self._log.warning("events that were not processed are sent again", event_type=self._event_type, count=count)

    async def _end_of(self, stretch: Stretch) -> int | None:
        """Write the letter of a stretch and return the last offset to pass over; None: the partition must wait."""
        if stretch.gone:
            assert stretch.last is not None, "deleted messages end where the partition begins"
            await self._write(self._letters.of_stretch(stretch, stretch.last, stretch.cause, 0), None)
            return stretch.last
        passed = await self._store.passed(
            self._group, stretch.topic, stretch.topic_id, stretch.partition, stretch.first
        )
        if passed is None:
            return None
        # The end of the stretch may have become readable since the operator looked.
        last = passed.last if stretch.last is None else min(passed.last, stretch.last)
        letter = self._letters.of_stretch(stretch, last, _detail_of(passed, stretch.cause), 0)
        return last if await self._apply(passed, letter) else None

    async def _pass_message(self, letter: DeadLetter, topic_id: str) -> bool:
        passed = await self._store.passed(self._group, letter.topic, topic_id, letter.partition, letter.offset)
        if passed is None or not passed.first == passed.last == letter.offset:
            # An operator who passes over a stretch does not mean a message that can be read.
            return False
        return await self._apply(passed, replace(letter, detail=_detail_of(passed, letter.detail)))

    async def _apply(self, passed: Passed, letter: DeadLetter) -> bool:
        """Do what the operator says; return whether the partition may go on."""
        if passed.applied:
            # Either we were interrupted before the offset was committed, or the operator meant something else.
            return await self._store.has_letter(letter)
        await self._write(letter, passed.passed_id)
        return True

    async def _write(self, letter: DeadLetter, passed_id: int | None) -> None:
        """Keep the letter. For a stretch on a topic of ours, send the lost events again in the same transaction."""
        is_stretch, sent_again = letter.to_offset is not None, 0
        async with self._store.transaction() as transaction:
            await transaction.load(())  # reads the clock
            if is_stretch:
                letter = replace(letter, timestamp_ms=int(transaction.now.timestamp() * 1000))
            changes = Changes(dead_letters=[letter], passed=[] if passed_id is None else [passed_id])
            fresh = await transaction.save(changes)
            if fresh and is_stretch and self._is_ours:
                sent_again = await transaction.send_unseen(self._group, self._event_type)
        letter = fresh[0] if fresh else letter
        place = {"to_offset": letter.to_offset, "sent_again": sent_again} if is_stretch else {}
        ring(self._log, letter.reason.value, "dead letter", detail=letter.detail, **place, **ids_of(letter))


def _detail_of(passed: Passed, cause: str) -> str:
    return f"{passed.by} passed over it ({passed.reason}): {cause}"

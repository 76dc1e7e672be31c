"""Redriving: the bytes of a dead letter go through the plan transaction of its consumer once more.

A letter has its effect at most once, under the lock of its row. If it has an inbox row of its own, no copy of it can
have another. If not, it goes through the inbox, which knows copies published meanwhile. What it opens is due at once: a
sweep performs it.
"""

import dataclasses
import re
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from consumers.runtime.bounds import Bounds
from consumers.runtime.cutting import is_theirs
from consumers.runtime.deciding import Decider
from consumers.runtime.guard import Guard
from consumers.runtime.letters import Letters
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.reading import Reader, Taken
from consumers.runtime.work import Work
from domain.blame import blame
from domain.decision import Notification
from domain.errors import Busy, Transient
from domain.ids import OrderId
from domain.ports.source import Message
from domain.ports.store import Claimed, Receipt
from domain.reaction import Reaction
from domain.rules import Rules
from domain.values import replace
from outbox.store.redriving import (
    KeptLetter,
    ahead_of,
    give_up_letter,
    keep_letter,
    lock_letter,
    lock_work,
    release_work,
    settle_letter,
)
from outbox.store.transaction import PgTransaction
from schemas.events import OrderEvent
from schemas.registry import RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected

MASKED: Final = re.compile(rb"\*(?:[ -]?\*){13}")
"""A card number after masking. A letter may be masked in its headers only: then it can be redriven."""


class Outcome(NamedTuple):
    """What came of a redrive. done: it had its effect. ahead: the id of what must be redriven before it.

    holds: it stays in quarantine, and what waits behind it still waits.
    """

    done: bool
    result: str
    ahead: str | None = None
    holds: bool = False


class _RolledBack(Exception):  # noqa: N818 - an answer, no error
    """Rolls back the transaction of a dry run, and carries its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Silent:
    """A notifier for dry runs: it writes to nobody."""

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Do nothing."""


class Redriver:
    """Redrives letters, one a transaction. by: who asked for it. dry_run: do it, return the outcome, roll it back."""

    def __init__(
        self,
        ports: Ports,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        bounds: Bounds,
        *,
        by: str,
        dry_run: bool = False,
    ) -> None:
        self._ports = dataclasses.replace(ports, notifier=_Silent()) if dry_run else ports
        self._reactions = reactions
        self._by_group = {reaction.group: reaction for reaction in reactions.values()}
        # Nobody here performs what it opens, so the lease is over at once.
        self._rules = replace(rules, lease_s=0)
        self._by = by
        self._dry_run = dry_run
        self._guard = Guard(bounds)
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)

    async def redrive(self, letter_id: int) -> Outcome:
        """Redrive one letter. Raises Transient when the database or the registry does not answer."""
        try:
            return await self._transact(partial(self._redrive, letter_id))
        except Exception as error:
            if not is_theirs(error):
                raise
            return await self._transact(partial(self._keep_raised, letter_id, error))

    async def give_up(self, letter_id: int, reason: str) -> Outcome:
        """Decide that a letter is never processed: what waits behind it may go on. Who and why is kept."""
        return await self._transact(partial(self._give_up, letter_id, reason))

    async def release(self, number: int) -> Outcome:
        """Let work in quarantine go on."""
        return await self._transact(partial(self._release, number))

    async def _transact(self, run: Callable[[PgTransaction], Awaitable[Outcome]]) -> Outcome:
        async def once(_: bool) -> Outcome:  # noqa: FBT001 - as the guard calls
            try:
                async with self._ports.store.transaction(contended=True) as transaction:
                    assert isinstance(transaction, PgTransaction)
                    return self._or_roll_back(await run(transaction))
            except _RolledBack as dry:
                return dry.outcome

        try:
            return await self._guard.transact("redrive", once, patient=False)
        except Busy as busy:
            raise await self._ports.store.with_holder(busy) from busy

    def _or_roll_back(self, outcome: Outcome) -> Outcome:
        if self._dry_run:
            raise _RolledBack(outcome)
        return outcome

    async def _redrive(self, letter_id: int, transaction: PgTransaction) -> Outcome:
        letter = await lock_letter(transaction, letter_id)
        if letter is None:
            return Outcome(done=False, result="there is no such letter")
        cannot = self._why_not(letter)
        if cannot is not None:
            return Outcome(done=False, result=cannot, holds=letter.waits)
        reaction = self._by_group[letter.group]
        if reaction.waits:
            ahead = await ahead_of(transaction, letter)
            if ahead is not None:
                return Outcome(done=False, result=f"waits behind {ahead}: redrive that first", ahead=ahead)
        message = Message(letter.topic, letter.partition, letter.offset, letter.key, letter.body, letter.headers, 0)
        letters = Letters(reaction.group, reaction.trigger.TYPE, self._ports.mask)
        try:
            one = Reader(reaction, self._ports.decode, letters, self._ports.tracer).read_one(message)
        except Rejected as rejected:
            return await self._keep(transaction, letter, rejected.reason, rejected.detail)
        except (SchemaAwaited, RegistryUnavailable) as error:
            raise Transient(f"the schema registry does not know the schema of letter {letter_id}: {error}") from error
        return await self._plan(transaction, letter, reaction, one)

    def _why_not(self, letter: KeptLetter) -> str | None:
        return why_not(letter, self._by_group)

    async def _give_up(self, letter_id: int, reason: str, transaction: PgTransaction) -> Outcome:
        letter = await lock_letter(transaction, letter_id)
        if letter is None:
            return Outcome(done=False, result="there is no such letter")
        if letter.redriven:
            return Outcome(done=False, result=_how_it_ended(letter))
        return Outcome(done=True, result=await give_up_letter(transaction, letter.id, self._by, reason))

    async def _plan(self, transaction: PgTransaction, letter: KeptLetter, reaction: Reaction, one: Taken) -> Outcome:
        letters = Letters(reaction.group, reaction.trigger.TYPE, self._ports.mask)
        decider = Decider(reaction, self._reactions, self._ports, self._rules, letters, keep_early=False)
        order_ids = [OrderId(one.event.order_id)] if isinstance(one.event, OrderEvent) else []
        orders = await transaction.load(order_ids, early=reaction.begins)
        if decider.is_early(transaction, one):
            refused = decider.refuse_early(one)
            return await self._keep(transaction, letter, refused.reason, refused.detail)
        # Its own inbox row is of this letter alone: until the letter is redriven, the message is new.
        receipt = Receipt.NEW if letter.own_inbox else (await transaction.receive(decider.entry([one])))[0]
        work = Work(transaction, orders, self._reactions, self._rules)
        again = decider.decide(work, one, receipt)
        if work.changes.adjustments:
            again = next(iter(await decider.adjust(work, [one])), None)
        if again is not None:
            return await self._keep(transaction, letter, again.reason, again.detail, own_inbox=again.own_inbox)
        opened = await work.finish(self._ports)
        result = (
            "no effect: a copy of it was processed before"
            if receipt is Receipt.KNOWN
            else describe_effect(work, opened)
        )
        await settle_letter(transaction, letter.id, self._by, result)
        return Outcome(done=True, result=result)

    async def _keep(
        self, transaction: PgTransaction, letter: KeptLetter, reason: Reason, detail: str, *, own_inbox: bool = False
    ) -> Outcome:
        result = f"refused again: {reason}: {detail}"
        await keep_letter(transaction, letter.id, reason, detail, self._by, result, own_inbox=own_inbox)
        return Outcome(done=False, result=result)

    async def _keep_raised(self, letter_id: int, error: Exception, transaction: PgTransaction) -> Outcome:
        letter = await lock_letter(transaction, letter_id)
        if letter is None or letter.redriven:
            return Outcome(done=False, result="already redriven")
        blamed = blame(error, raw=(letter.key or b"") + (letter.body or b""))
        result = f"raised again: {blamed.detail}"
        await keep_letter(transaction, letter_id, Reason.QUARANTINED, blamed.detail, self._by, result)
        if not self._dry_run:
            self._quarantine.ring(blamed, "a redriven message raised", letter_id=letter_id, order_id=letter.order_id)
        return Outcome(done=False, result=result, holds=letter.waits)

    async def _release(self, number: int, transaction: PgTransaction) -> Outcome:
        work = await lock_work(transaction, number)
        if work is None:
            return Outcome(done=False, result=f"there is no Q{number}")
        if work.released:
            return Outcome(done=False, result="already redriven")
        if work.order_id is not None:
            await transaction.hold([work.order_id])
        return Outcome(done=True, result=await release_work(transaction, work, self._by))


def why_not(letter: KeptLetter, groups: Container[str]) -> str | None:
    """Return why this letter cannot be redriven, or None. groups: of the consumers of this release."""
    if letter.redriven:
        return _how_it_ended(letter)
    way_out = f"; `payments dlq give-up {letter.id}` lets its order go on without it" if letter.waits else ""
    if letter.reason is Reason.UNREADABLE:
        return "cannot be redriven: its bytes could not be read; find the message in the publisher's log"
    if letter.erased_at is not None:
        day = f"{letter.erased_at:%Y-%m-%d}"
        return f"not redrivable: its payment token was erased on {day}; have it published anew{way_out}"
    if letter.masked and any(MASKED.search(part) for part in (letter.key, letter.body) if part is not None):
        return f"cannot be redriven: card numbers are masked in it; have it published anew, without them{way_out}"
    if letter.group not in groups:
        return f"cannot be redriven: this release has no consumer {letter.group}, or no work for it{way_out}"
    return None


def _how_it_ended(letter: KeptLetter) -> str:
    return "already given up" if letter.given_up else "already redriven"


def describe_effect(work: Work, opened: Sequence[Claimed]) -> str:
    """Describe what a decision did: its events with their codes, opened operations, messages to customers."""
    words = [
        f"{event.TYPE} ({code})" if (code := getattr(event, "failure_code", None)) else event.TYPE
        for event in work.changes.events
    ]
    words += [f"{claimed.operation.kind} opened" for claimed in opened]
    words += [f"{one.delta:+d} of SKU {one.sku}" for one in work.changes.adjustments]
    words += [f"customer told {notification.kind}" for notification in work.changes.notifications]
    return f"done: {', '.join(words)}" if words else "done: no effect"

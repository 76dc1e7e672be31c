"""The plan transaction: a batch of messages becomes inbox rows, decisions, operations and events, or dead letters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.deciding import Decider
from consumers.runtime.letters import Letters, ids_of
from consumers.runtime.pace import Pace
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.reading import Failed, Read, Taken
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
from domain.dead_letter import DeadLetter
from domain.ids import OrderId
from domain.ports.store import Changes, Claimed, Receipt
from domain.ports.tracing import Step
from domain.reaction import Reaction
from domain.rules import Rules
from schemas.events import OrderEvent, OwnEvent
from schemas.rejection import Reason

BEHIND: Final = "an earlier message of its order is in quarantine; redrive that one first."
TO_PLAN: Final = frozenset({Receipt.NEW, Receipt.TOO_OLD})
"""These wait if their order waits. A repetition has no effect and a conflict is refused, in any case."""


class Planner:
    """Plans the batches of one reaction, each in one transaction."""

    def __init__(
        self,
        reaction: Reaction,
        reactions: Mapping[str, Reaction],
        ports: Ports,
        rules: Rules,
        bounds: Bounds,
        recorded: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
    ) -> None:
        """Make it. recorded: called when notifications are recorded, after the commit. pace: hears how late we are."""
        self._reaction = reaction
        self._letters = Letters(reaction.group, reaction.trigger.TYPE, ports.mask)
        self._decider = Decider(reaction, reactions, ports, rules, self._letters)
        self._reactions = reactions
        self._ports = ports
        self._rules = rules
        self._recorded = recorded
        self._pace = pace if issubclass(reaction.trigger, OwnEvent) else None
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)
        self._log = structlog.get_logger("consumers.planner").bind(reaction=reaction.name)

    async def plan(self, read: Sequence[Read], *, contended: bool) -> list[Claimed]:
        """Run the plan transaction; return the operations to perform now, under our lease.

        Raises Contended (run it again at once), Transient (run it again later), or what a message raises. In all cases
        nothing has happened.
        """
        taken, letters = _sort_out(read)
        began_ns = self._began_ns()
        steps: list[Step] = []
        async with self._ports.store.transaction(contended=contended) as transaction:
            order_ids = [OrderId(one.event.order_id) for one in taken if isinstance(one.event, OrderEvent)]
            entry = self._decider.entry_at_once(transaction, taken)
            orders = await transaction.load(
                order_ids, waiting=self._reaction.waits, early=self._reaction.begins, entry=entry
            )
            # The inbox has no partition for a day far ahead, so messages from the future are refused before it.
            latest = self._decider.latest(transaction)
            early = [one for one in taken if one.event.occurred_at > latest]
            if early:
                letters += [self._decider.refuse_early(one) for one in early]
                steps += [
                    step_of(one, None, Reason.FROM_THE_FUTURE)
                    for one in early
                    if one.hop is not None and one.hop.recorded
                ]
                taken = [one for one in taken if one.event.occurred_at <= latest]
                # Had it entered at once (the database's clock was set back), receiving the others loses the race.
                entry = None
            work = Work(transaction, orders, self._reactions, self._rules)
            work.changes.dead_letters += letters
            receipts = await transaction.receive(self._decider.entry(taken) if entry is None else entry)
            for one, receipt in zip(taken, receipts, strict=True):
                waits = transaction.waiting and receipt in TO_PLAN and one.event.subject in transaction.waiting
                letter = self._wait_behind(one, receipt) if waits else self._decider.decide(work, one, receipt)
                if letter is not None:
                    work.changes.dead_letters.append(letter)
                if one.hop is not None and one.hop.recorded:
                    steps.append(step_of(one, receipt, letter.reason if letter is not None else None))
            if work.changes.adjustments:
                work.changes.dead_letters += await self._decider.adjust(work, taken)
            opened = await work.finish(self._ports)
        if work.changes.notifications:
            self._recorded()
        if self._pace is not None:
            self._tell_pace(self._pace, taken, transaction.now)
        self._tell(began_ns, steps)
        self._report(work)
        return opened

    async def quarantine(self, read: Read, error: Exception) -> None:
        """Keep a message that raised as a dead letter. Later messages of its order wait behind it.

        Raises TooManyQuarantined, and Contended and Transient as plan does. In all cases nothing has happened.
        """
        if isinstance(read, DeadLetter):
            # It was refused, and to write its letter raised. There is no other way to keep it.
            raise error
        message, event = read.message, read.event if isinstance(read, Taken) else None
        began_ns = self._began_ns()
        blamed = blame(error, event, raw=(message.key or b"") + (message.value or b""))
        order_id = self._letters.order_id_of(event, message.key, Reason.QUARANTINED)
        async with self._ports.store.transaction(contended=True) as transaction:
            await transaction.hold([] if order_id is None else [order_id])
            receipt = Receipt.TOO_OLD
            if isinstance(read, Taken) and not self._decider.is_early(transaction, read):
                (receipt,) = await transaction.receive(self._decider.entry([read]))
            if receipt is Receipt.KNOWN:
                return
            own, behind = receipt is Receipt.NEW, order_id in transaction.waiting
            letter = self._letters.of_message(
                message, Reason.QUARANTINED, blamed.detail, event, own_inbox=own, waits=True, behind=behind
            )
            fresh = await transaction.save(Changes(dead_letters=[letter]))
            if fresh and not behind:
                await self._quarantine.check(transaction, blamed)
        if fresh:
            self._quarantine.ring(blamed, "message in quarantine", **ids_of(fresh[0]))
            if isinstance(read, Taken) and read.hop is not None and read.hop.recorded:
                self._tell(began_ns, [step_of(read, receipt, letter.reason)])

    def _tell_pace(self, pace: Pace, taken: Sequence[Taken], now: datetime) -> None:
        """Say how old the newest event was. A batch of which all was refused has none, and no order waits for it."""
        if taken:
            pace.note(self._reaction.name, now - max(one.event.occurred_at for one in taken))
        else:
            pace.note_idle(self._reaction.name)

    def _began_ns(self) -> int:
        return 0 if self._ports.tracer is None else self._ports.tracer.clock_ns()

    def _tell(self, began_ns: int, steps: Sequence[Step]) -> None:
        if steps and self._ports.tracer is not None:
            self._ports.tracer.processed(self._reaction.group, began_ns, steps)

    def _wait_behind(self, one: Taken, receipt: Receipt) -> DeadLetter:
        """Keep a message whose order waits in quarantine."""
        own = receipt is Receipt.NEW
        return self._letters.of_message(
            one.message, Reason.QUARANTINED, BEHIND, one.event, own_inbox=own, waits=True, behind=True
        )

    def _report(self, work: Work) -> None:
        for letter in work.changes.dead_letters:
            if letter.behind:
                self._log.warning("waits behind a quarantined message", **ids_of(letter))
            else:
                ring(self._log, letter.reason.value, "dead letter", detail=letter.detail, **ids_of(letter))
        work.report(self._log)


def step_of(one: Taken, receipt: Receipt | None, refused: Reason | None) -> Step:
    """Return what is told of a message with a recorded hop. receipt: None: it did not come into the inbox."""
    assert one.hop is not None
    assert one.hop.trace is not None
    said = None if receipt is None else receipt.name.lower()
    return Step(one.message, one.event, one.hop.trace, said, None if refused is None else refused.value)


def _sort_out(read: Sequence[Read]) -> tuple[list[Taken], list[DeadLetter]]:
    """Return the messages that were read, and the letters of those refused. Raises what reading a message raised."""
    taken = [one for one in read if type(one) is Taken]
    letters: list[DeadLetter] = []
    if len(taken) == len(read):
        return taken, letters
    for one in read:
        if isinstance(one, Failed):
            raise one.error
        if isinstance(one, DeadLetter):
            letters.append(one)
    return taken, letters

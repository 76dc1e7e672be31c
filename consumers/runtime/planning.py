"""The plan transaction: a batch of messages becomes inbox rows, decisions, operations and events, or dead letters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from consumers.runtime.early import NEVER_CAME, EarlyMessages, Found, events_of
from consumers.runtime.letters import Letters, ids_of
from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.reading import Failed, Read, Taken
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.blame import blame
from domain.content import inbox_content
from domain.dead_letter import DeadLetter
from domain.ids import EventId, OrderId
from domain.ports.store import Changes, Claimed, Receipt, Transaction
from domain.reaction import Reaction
from domain.rules import Rules
from domain.values import replace
from schemas.events import OrderEvent
from schemas.rejection import Reason

TOO_OLD: Final = "it is older than the inbox remembers and was not processed; publish it anew if it still matters."
FUTURE: Final = "occurred_at lies in the future; check the publisher's clock, then publish it anew."
CONFLICT: Final = (
    "another message with this event_id and other content was processed before; give each event an id of its own, "
    "then publish it anew."
)
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
        *,
        keep_early: bool = True,
    ) -> None:
        """Make it. recorded: called when notifications are recorded, after the commit.

        keep_early: a message that comes before its order waits for it; False: it is refused.
        """
        self._reaction = reaction
        self._letters = Letters(reaction.group, reaction.trigger.TYPE, ports.mask)
        self._reactions = reactions
        self._ports = ports
        self._rules = rules
        self._recorded = recorded
        self._early = EarlyMessages(reactions, ports, rules)
        self._keep_early = keep_early
        self._quarantine = Quarantine(ports.store, bounds.quarantine_max)
        self._log = structlog.get_logger("consumers.planner").bind(reaction=reaction.name)

    async def plan(self, read: Sequence[Read], *, contended: bool) -> list[Claimed]:
        """Run the plan transaction; return the operations to perform now, under our lease.

        Raises Contended (run it again at once), Transient (run it again later), or what a message raises. In all cases
        nothing has happened.
        """
        taken, letters = _sort_out(read)
        async with self._ports.store.transaction(contended=contended) as transaction:
            order_ids = [OrderId(one.event.order_id) for one in taken if isinstance(one.event, OrderEvent)]
            orders = await transaction.load(order_ids, waiting=self._reaction.waits, early=self._reaction.begins)
            # The inbox has no partition for a day far ahead, so messages from the future are refused before it.
            latest = self._latest(transaction)
            early = [one for one in taken if one.event.occurred_at > latest]
            if early:
                letters += [self.refuse_early(one) for one in early]
                taken = [one for one in taken if one.event.occurred_at <= latest]
            work = Work(transaction, orders, self._reactions, self._rules)
            work.changes.dead_letters += letters
            for one, receipt in zip(taken, await self.receive(transaction, taken), strict=True):
                waits = receipt in TO_PLAN and one.event.subject in transaction.waiting
                letter = self._wait_behind(one, receipt) if waits else self.decide(work, one, receipt)
                if letter is not None:
                    work.changes.dead_letters.append(letter)
            if work.changes.adjustments:
                work.changes.dead_letters += await self.adjust(work, taken)
            opened = await work.finish(self._ports)
        if work.changes.notifications:
            self._recorded()
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
        blamed = blame(error, event, raw=(message.key or b"") + (message.value or b""))
        order_id = self._letters.order_id_of(event, message.key, Reason.QUARANTINED)
        async with self._ports.store.transaction(contended=True) as transaction:
            await transaction.hold([] if order_id is None else [order_id])
            receipt = Receipt.TOO_OLD
            if isinstance(read, Taken) and not self.is_early(transaction, read):
                (receipt,) = await self.receive(transaction, [read])
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

    def is_early(self, transaction: Transaction, one: Taken) -> bool:
        """Whether it is from the future, by more than clocks may differ."""
        return one.event.occurred_at > self._latest(transaction)

    def _latest(self, transaction: Transaction) -> datetime:
        return transaction.now + timedelta(seconds=self._rules.clock_skew_max_s)

    def refuse_early(self, one: Taken) -> DeadLetter:
        """Refuse a message from the future."""
        return self._letters.of_message(one.message, Reason.FROM_THE_FUTURE, FUTURE, one.event)

    async def receive(self, transaction: Transaction, taken: Sequence[Taken]) -> Sequence[Receipt]:
        """Write the inbox rows; return whether each message is new, known, a conflict or too old."""
        contents = [inbox_content(one.content) for one in taken]
        return await transaction.receive(self._reaction.group, [one.event for one in taken], contents)

    def decide(self, work: Work, one: Taken, receipt: Receipt) -> DeadLetter | None:
        """Decide on one message that does not wait. Return its dead letter if it is refused."""
        message, event = one.message, one.event
        if receipt is Receipt.KNOWN:
            return None
        if receipt is Receipt.CONFLICT:
            return self._letters.of_message(message, Reason.CONFLICT, CONFLICT, event)
        new = receipt is Receipt.NEW
        context = work.context(EventId(event.event_id), one.content)
        order_id = OrderId(event.order_id) if isinstance(event, OrderEvent) else None
        came_before = () if order_id is None else self._came_before(work, order_id)
        if came_before:
            context = replace(context, early=events_of(came_before))
        order = None if order_id is None else work.order(order_id)
        decision = self._reaction.plan(order, event, context)
        if decision.early:
            return self._wait_for_order(work, one, new=new)
        if decision.refused is not None:
            return self._letters.of_message(message, decision.refused, decision.detail, event, own_inbox=new)
        if not new and (decision.order is not None or decision.notifications or decision.adjustments):
            # It would have an effect, and the inbox no longer knows whether it had one before.
            return self._letters.of_message(message, Reason.TOO_OLD, TOO_OLD, event)
        work.apply(decision)
        if decision.order is not None:
            for found in came_before:
                letter = self._early.apply(work, found)
                if letter is not None:
                    work.changes.dead_letters.append(letter)
        return None

    async def adjust(self, work: Work, taken: Sequence[Taken]) -> list[DeadLetter]:
        """Make the adjustments of the stock that were decided on; return the letters of those that cannot be made."""
        inventory = self._ports.inventory
        assert inventory is not None, "with an inventory elsewhere nobody consumes adjustments"
        refused = await inventory.adjust(work.transaction, work.changes.adjustments)
        by_id = {one.event.event_id: one for one in reversed(taken)} if refused else {}
        return [
            self._letters.of_message(
                by_id[no.event_id].message,
                Reason.STOCK_SHORT if no.short else Reason.INVALID_FIELD,
                no.why,
                by_id[no.event_id].event,
                own_inbox=True,
            )
            for no in refused
        ]

    def _came_before(self, work: Work, order_id: OrderId) -> Sequence[Found]:
        """Return the messages that came before the order, if it is not there yet and this event brings it."""
        if not self._reaction.begins or work.order(order_id) is not None:
            return ()
        return self._early.read(work.transaction.early.get(order_id, ()))

    def _wait_for_order(self, work: Work, one: Taken, *, new: bool) -> DeadLetter | None:
        """Keep a message whose order is not there. One that the inbox cannot remember would be kept again and again."""
        if new and self._keep_early:
            work.changes.early.append(self._early.keep(work.transaction, self._reaction.group, one))
            return None
        return self._letters.of_message(one.message, Reason.UNKNOWN_ORDER, NEVER_CAME, one.event, own_inbox=new)

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

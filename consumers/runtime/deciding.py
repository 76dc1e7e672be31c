"""What one message becomes inside a transaction: work on its order, a message that waits for its order, or a letter.

The plan transaction and the redriving of a dead letter both decide so.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from consumers.runtime.early import NEVER_CAME, EarlyMessages, Found, events_of
from consumers.runtime.letters import Letters
from consumers.runtime.ports import Ports
from consumers.runtime.reading import Taken
from consumers.runtime.work import Work
from domain.content import inbox_content
from domain.dead_letter import DeadLetter
from domain.ids import EventId, OrderId
from domain.ports.store import Entry, Receipt, Transaction
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

TIMESTAMP_END_MS: Final = 4_102_444_800_000
"""The year 2100. A publisher may write any number."""


class Decider:
    """Decides on the messages of one reaction, in a transaction of the caller's."""

    def __init__(
        self,
        reaction: Reaction,
        reactions: Mapping[str, Reaction],
        ports: Ports,
        rules: Rules,
        letters: Letters,
        *,
        keep_early: bool = True,
    ) -> None:
        """Make it. keep_early: a message that comes before its order waits for it; False: it is refused."""
        self._reaction = reaction
        self._letters = letters
        self._ports = ports
        self._rules = rules
        self._early = EarlyMessages(reactions, ports, rules)
        self._keep_early = keep_early
        self._skew = timedelta(seconds=rules.clock_skew_max_s)

    def is_early(self, transaction: Transaction, one: Taken) -> bool:
        """Whether it is from the future, by more than clocks may differ."""
        return one.event.occurred_at > self.latest(transaction)

    def latest(self, transaction: Transaction) -> datetime:
        """Return the time after which a message is from the future."""
        return transaction.now + self._skew

    def refuse_early(self, one: Taken) -> DeadLetter:
        """Refuse a message from the future."""
        return self._letters.of_message(one.message, Reason.FROM_THE_FUTURE, FUTURE, one.event)

    def entry(self, taken: Sequence[Taken]) -> Entry:
        """Return what these messages enter into the inbox."""
        contents = [inbox_content(one.content) for one in taken]
        return Entry(self._reaction.group, [one.event for one in taken], contents)

    def entry_at_once(self, transaction: Transaction, taken: Sequence[Taken]) -> Entry | None:
        """Return what they enter, if that needs no look at the database's clock first.

        A message from the future must not enter. By the clock as it was seen last none of these is: it only goes on.
        """
        if transaction.contended or transaction.seen is None or not taken:
            return None
        newest = max(one.event.occurred_at for one in taken)
        return self.entry(taken) if newest <= transaction.seen + self._skew else None

    def decide(self, work: Work, one: Taken, receipt: Receipt) -> DeadLetter | None:
        """Decide on one message that does not wait. Return its dead letter if it is refused."""
        message, event = one.message, one.event
        if receipt is Receipt.KNOWN:
            return None
        if receipt is Receipt.CONFLICT:
            return self._letters.of_message(message, Reason.CONFLICT, CONFLICT, event)
        new = receipt is Receipt.NEW
        recorded_at = _moment(message.timestamp_ms) if self._reaction.begins else None
        context = work.context(EventId(event.event_id), one.content, recorded_at)
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
        work.apply(decision, one.hop and one.hop.trace)
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


def _moment(timestamp_ms: int) -> datetime | None:
    """Return a message's time-stamp; None if it has none, or none that a clock could show."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC) if 0 < timestamp_ms < TIMESTAMP_END_MS else None

"""The plan transaction: a batch of messages becomes inbox rows, decisions, operations and events, or dead letters."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog

from consumers.runtime.letters import Letters
from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.reading import Reading, Taken
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.ids import OrderId
from domain.ports.store import Claimed, Receipt
from domain.reaction import Reaction
from domain.rules import Rules
from schemas.rejection import Reason

TOO_OLD: Final = "it is older than the inbox remembers and was not processed; publish it anew if it still matters."
FUTURE: Final = "occurred_at lies in the future; check the publisher's clock, then publish it anew."


class Planner:
    """Plans the batches of one reaction. Its transaction either happens wholly or not at all."""

    def __init__(
        self, reaction: Reaction, reactions: Mapping[str, Reaction], ports: Ports, rules: Rules, bounds: Bounds
    ) -> None:
        self._reaction = reaction
        self._letters = Letters(reaction.group, reaction.trigger.TYPE, ports.mask)
        self._reactions = reactions
        self._ports = ports
        self._rules = rules
        self._few_max = bounds.few_max
        self._log = structlog.get_logger("consumers.planner").bind(reaction=reaction.name)

    async def plan(self, reading: Reading, *, contended: bool) -> list[Claimed]:
        """Run the plan transaction; return the operations to perform now, under our lease.

        Raises Contended (run it again at once) and Transient (run it again later); nothing has happened then.
        """
        taken, letters = reading.taken, [*reading.letters]
        few = len(reading.done) <= self._few_max
        async with self._ports.store.transaction(contended=contended, few=few) as transaction:
            orders = await transaction.load([OrderId(t.event.order_id) for t in taken])
            latest = transaction.now + timedelta(seconds=self._rules.clock_skew_max_s)
            # A day far ahead has no partition in the inbox, so these are sorted out before it.
            letters += [
                self._letters.of_message(t.message, Reason.FROM_THE_FUTURE, FUTURE)
                for t in taken
                if t.event.occurred_at > latest
            ]
            taken = [t for t in taken if t.event.occurred_at <= latest]
            receipts = await transaction.receive(self._reaction.group, [t.event for t in taken])
            work = Work(transaction, orders, self._reactions, self._rules)
            work.changes.dead_letters += letters
            self._decide(work, taken, receipts)
            opened = await work.finish(self._ports)
        self._tell(work)
        return opened

    def _decide(self, work: Work, taken: Sequence[Taken], receipts: Sequence[Receipt]) -> None:
        for (message, event), receipt in zip(taken, receipts, strict=True):
            if receipt is Receipt.KNOWN:
                continue
            decision = self._reaction.plan(work.order(OrderId(event.order_id)), event, work.context(event))
            if decision.refused is not None:
                work.changes.dead_letters.append(self._letters.of_message(message, decision.refused, decision.detail))
            elif receipt is Receipt.TOO_OLD and (decision.order is not None or decision.notifications):
                # It would do something, and the inbox cannot tell whether it has done so before.
                work.changes.dead_letters.append(self._letters.of_message(message, Reason.TOO_OLD, TOO_OLD))
            else:
                work.apply(decision)

    def _tell(self, work: Work) -> None:
        for letter in work.changes.dead_letters:
            ring(
                self._log,
                letter.reason.value,
                "dead letter",
                detail=letter.detail,
                topic=letter.topic,
                partition=letter.partition,
                offset=letter.offset,
            )
        work.tell(self._log)

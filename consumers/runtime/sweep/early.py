"""Early messages: those that missed their order are applied, and those whose order never comes become dead letters."""

from collections.abc import Sequence
from typing import Final

from consumers.runtime.early import EarlyMessages, Found
from consumers.runtime.letters import ids_of
from consumers.runtime.planning import BEHIND
from consumers.runtime.sweep.job import OrderJob, Tools
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.dead_letter import DeadLetter
from domain.ids import OrderId
from domain.ports.store import Transaction
from domain.values import replace

LOOK_EVERY_S: Final = 1.0


class EarlyOnes(OrderJob):
    """Looks for the orders of early messages, soon at first and then less often."""

    name = "sweep early"

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, LOOK_EVERY_S)
        self._early = EarlyMessages(tools.reactions, tools.ports, tools.rules)

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders whose early messages are to be looked at."""
        return await self._tools.ports.store.early_orders(most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Apply what has an order by now, and give up what has waited for too long."""
        tools = self._tools
        async with tools.ports.store.transaction(contended=True) as transaction:
            orders = await transaction.load(order_ids, waiting=True, early=True)
            # Nobody here performs what is opened, so its lease is over at once.
            work = Work(transaction, orders, tools.reactions, replace(tools.rules, lease_s=0))
            found = [each for kept in transaction.early.values() for each in self._early.read(kept)]
            later = [each.kept.number for each in found if not self._take(work, transaction, each)]
            await work.finish(tools.ports)
            if later:
                await transaction.look_later(later)
        self._report(work)

    def _take(self, work: Work, transaction: Transaction, found: Found) -> bool:
        """Apply one message, or give it up. Return False if it must wait on."""
        letter: DeadLetter | None
        if work.order(found.kept.order_id) is None:
            if found.kept.give_up_at > transaction.now:
                return False
            letter = self._early.give_up(work, found)
        elif found.kept.order_id in transaction.waiting and (found.reaction is None or found.reaction.waits):
            letter = self._early.wait_behind(work, found, BEHIND)
        else:
            letter = self._early.apply(work, found)
        if letter is not None:
            work.changes.dead_letters.append(letter)
        return True

    def _report(self, work: Work) -> None:
        for letter in work.changes.dead_letters:
            if letter.behind:
                self._log.warning("waits behind a quarantined message", **ids_of(letter))
            else:
                ring(self._log, letter.reason.value, "dead letter", detail=letter.detail, **ids_of(letter))
        work.report(self._log)

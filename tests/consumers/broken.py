"""Parts of a release that raise for chosen orders: what a message meets that nobody thought of."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.reactions import REACTIONS
from domain.case import Case
from domain.decision import Decision, Notification
from domain.outcome import Outcome
from domain.ports.inventory import InventoryAnswer, InventoryCall
from domain.ports.store import Transaction
from domain.reaction import Reaction
from domain.rows import ANY, EVERY, NO_ORDER, On, Step, When
from domain.settling import do_nothing
from domain.values import replace
from schemas.events import Event

SECRETS = ("pm_wallet_captured", "pm_card_chargeDeclined", "somebody", "customer-1")
"""What the errors of these parts quote, and nobody may read."""
WORDS = "no luck with pm_wallet_captured and pm_card_chargeDeclined of 'somebody', who is customer-1"


class BrokenError(Exception):
    """What a broken part raises; its words quote the message."""

    def __init__(self) -> None:
        super().__init__(WORDS)


def plans_badly(
    reaction: Reaction, order_ids: Collection[str], error: Callable[[], Exception] = BrokenError
) -> Reaction:
    """Have the plan of a reaction raise for these orders, for as long as they are in the collection."""

    def breaks(case: Case) -> bool:
        assert case.event is not None
        if case.event.subject in order_ids:
            raise error()
        return False

    return dataclasses.replace(reaction, plans=(When(NO_ORDER + ANY, breaks, do_nothing), *reaction.plans))


def writes_badly(reaction: Reaction, order_ids: Collection[str], **value: object) -> Reaction:
    """Have the plan of a reaction decide on a value that cannot be written, for these orders."""

    def spoiled(step: Step) -> Step:
        def take(case: Case) -> Decision:
            decision = step(case)
            if case.event is not None and case.event.subject in order_ids and decision.order is not None:
                return replace(decision, order=replace(decision.order, **value))
            return decision

        return take

    return dataclasses.replace(reaction, plans=tuple(row._replace(step=spoiled(row.step)) for row in reaction.plans))


def settles_badly(reaction: Reaction, order_ids: Collection[str]) -> Reaction:
    """Have the settle of a reaction raise for these orders."""

    def breaks(case: Case) -> bool:
        if case.order.order_id in order_ids:
            raise BrokenError
        return False

    first = On(EVERY, Outcome.__args__, breaks, do_nothing)
    return dataclasses.replace(reaction, settles=(first, *reaction.settles))


def with_these(*changed: Reaction) -> list[Reaction]:
    """Return all reactions, with these in place of those of their names."""
    by_name = {reaction.name: reaction for reaction in changed}
    return [by_name.get(reaction.name, reaction) for reaction in REACTIONS]


class BrokenInventory(InternalInventory):
    """Raises for calls about this SKU."""

    def __init__(self, sku: str) -> None:
        self._sku = sku

    async def perform(self, transaction: Transaction, calls: Sequence[InventoryCall]) -> Sequence[InventoryAnswer]:
        """Answer, or raise."""
        if any(line.sku == self._sku for call in calls for line in call.lines):
            raise BrokenError
        return await super().perform(transaction, calls)


class BrokenNotifier(LogNotifier):
    """Raises for these orders."""

    def __init__(self, order_ids: Collection[str]) -> None:
        super().__init__()
        self._order_ids = order_ids

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Tell, or raise."""
        if any(n.order_id in self._order_ids for n in notifications):
            raise BrokenError
        await super().tell(notifications)


def decodes_badly(decode: Any, order_ids: Collection[str]) -> Any:
    """Have a decoder raise for messages with these keys."""

    def broken(event_type: str, key: bytes | None, value: bytes | None) -> Event:
        if key is not None and key.decode() in order_ids:
            raise BrokenError
        event: Event = decode(event_type, key, value)
        return event

    return broken

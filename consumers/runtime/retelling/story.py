"""An order on its way to where its events say that it stands, and what one input makes of it.

A step does what the runtime does in one transaction: it decides, and performs what an inventory of our own is asked.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from consumers.runtime.retelling.told import Told
from consumers.runtime.work import LOCAL_ROUNDS_MAX, inventory_call
from domain.decision import Decision
from domain.disputing import KnownDispute
from domain.hearing import with_closed
from domain.ids import EventId
from domain.operation import INVENTORY_KINDS, Operation, OperationKind
from domain.order import Order
from domain.outcome import Approved, Missing, Outcome, Reserved, Short
from domain.ports.inventory import InventoryCall
from domain.reaction import Reaction
from domain.rules import Context, Rules
from domain.values import Value, replace
from schemas.events import ItemsReserved, OwnEvent, ReservationFailed

BEYOND_COUNT: Final = LOCAL_ROUNDS_MAX + 2


class Laws(NamedTuple):
    """What decides: the reactions by name and by their trigger's type, and the settings that rules depend on."""

    by_name: Mapping[str, Reaction]
    by_trigger: Mapping[str, Reaction]
    rules: Rules


class Story(Value, frozen=True):
    """order: as it stands, without its finished operations. ended: those, as far as they ended here.

    before: finished operations of the database. read: triggers that had their effect here. said: events, in order.
    disputes: as they are known now; heard: those that changed here. calls: of an inventory of our own, in order.
    """

    order: Order | None
    before: tuple[Operation, ...] = ()
    ended: tuple[Operation, ...] = ()
    disputes: tuple[KnownDispute, ...] = ()
    heard: tuple[KnownDispute, ...] = ()
    read: frozenset[EventId] = frozenset()
    said: tuple[OwnEvent, ...] = ()
    calls: tuple[InventoryCall, ...] = ()

    @property
    def version(self) -> int:
        """Return the order's version."""
        return 0 if self.order is None else self.order.version

    @property
    def looking_back(self) -> Order:
        """Return the order with all operations that it ever had."""
        assert self.order is not None
        return with_closed(self.order, (*self.before, *self.ended))

    def at_first(self, order: Order) -> Order:
        """Return the order as the database had it, with its finished operations: so one of those is no new row."""
        return with_closed(order, self.before)

    @property
    def whole(self) -> Order:
        """Return the order to be written: with the operations that ended here."""
        assert self.order is not None
        kept = {operation.operation_id for operation in self.order.operations}
        return replace(
            self.order, operations=(*(o for o in self.ended if o.operation_id not in kept), *self.order.operations)
        )


def take(story: Story, decision: Decision, context: Context, laws: Laws, told: Told) -> Story | None:
    """Return the story after a transaction with this decision; None if it decides nothing, or refuses."""
    if decision.order is None or decision.refused is not None or decision.early or _repeats(story, decision.order):
        return None
    story = _with(story, decision)
    if not laws.rules.inventory_elsewhere:
        story = _perform(story, context, laws, told)
    return _without_ended(story, elsewhere=laws.rules.inventory_elsewhere)


def _repeats(story: Story, after: Order) -> bool:
    """Whether it opens a call that has ended: no rule gives a call the key of an earlier one."""
    open_before = () if story.order is None else story.order.operations
    ended = {o.operation_id for o in (*story.before, *story.ended)} - {o.operation_id for o in open_before}
    return any(o.unfinished and o.operation_id in ended for o in after.operations)


def _with(story: Story, decision: Decision) -> Story:
    story = replace(story, order=decision.order, said=(*story.said, *decision.events))
    if decision.dispute is None:
        return story
    dispute = decision.dispute
    others = (known for known in story.disputes if known.dispute_id != dispute.dispute_id)
    changed = (known for known in story.heard if known.dispute_id != dispute.dispute_id)
    return replace(story, disputes=(*others, dispute), heard=(*changed, dispute))


def _perform(story: Story, context: Context, laws: Laws, told: Told) -> Story:
    """Perform and settle what an inventory of our own is asked, until there is nothing."""
    for _ in range(BEYOND_COUNT):
        order = story.order
        assert order is not None
        local = [o for o in order.operations if o.kind in INVENTORY_KINDS and o.unfinished]
        if not local:
            return story
        calls = [inventory_call(order, operation, context) for operation in local]
        for operation, call in zip(local, calls, strict=True):
            outcome = _answer(operation, call, told)
            because = replace(context, causation_id=operation.causation_id)
            assert story.order is not None
            settled = laws.by_name[operation.reaction].settle(story.order, operation, outcome, because)
            story = _with(story, settled) if settled.order is not None else story
            if not isinstance(outcome, Short):
                story = replace(story, calls=(*story.calls, call))
    raise AssertionError("local operations open each other without end")


def _answer(operation: Operation, call: InventoryCall, told: Told) -> Outcome:
    """Answer as the stock did then: what it had at that time nobody knows, but what it answered is told."""
    if operation.kind is not OperationKind.RESERVE:
        return Approved()
    for event in told:
        if isinstance(event, ReservationFailed) and event.attempt == operation.attempt and event.missing:
            return Short(tuple(Missing(m.sku, m.requested, m.available) for m in event.missing))
        if isinstance(event, ItemsReserved) and event.attempt == operation.attempt:
            return Reserved(event.expires_at)
    return Reserved(call.expires_at)


def _without_ended(story: Story, *, elsewhere: bool) -> Story:
    """Keep finished operations aside: whoever loads an order gets the unfinished ones alone.

    One at an inventory of our own has no row.
    """
    order = story.order
    assert order is not None
    done = [o for o in order.operations if not o.unfinished]
    if not done:
        return story
    kept = _newest((*story.ended, *(o for o in done if elsewhere or o.kind not in INVENTORY_KINDS)))
    return replace(
        story, order=replace(order, operations=tuple(o for o in order.operations if o.unfinished)), ended=kept
    )


def _newest(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple({operation.operation_id: operation for operation in operations}.values())

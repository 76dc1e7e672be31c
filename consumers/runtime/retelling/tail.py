"""What may have been under way behind the last event: it is begun again, and looked up before it is sent.

A trigger that was consumed, and of which nothing is told, may have had a call made. After a restore nobody knows. So
its call is opened with the key that it has had, as one whose answer was lost: the sweep looks it up first, and sends it
only if there is none and the key still lives.
"""

from collections.abc import Sequence
from datetime import datetime

from consumers.runtime.retelling.moves import read
from consumers.runtime.retelling.story import Laws, Story
from consumers.runtime.retelling.told import Told, Trigger
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Status
from domain.pending import waits_for_customer
from domain.values import replace
from schemas.events import OrderCancelRequested, OrderConfirmed, PreparationStarted

LOST: str = "restored: it may have been called, and its answer is lost"


def begin_consumed(story: Story, triggers: Sequence[Trigger], laws: Laws) -> Story:
    """Read what was consumed and left to read, as far as it opens calls outside. The rest is read again.

    It is read as of its own time: what was in time when it was read then is not refused now. What takes goods of our
    own stock is left, too: whether they are there is asked when it is read again.

    Two notes that say nothing are taken as well. A cancel that waits for what is under way: read again, it would be too
    late, or find what must not begin behind it. And that the preparation has begun, whoever has read it: it forbids
    cancels, and one that is begun here, or is read again first, would be carried out.
    """
    nothing = Told(())
    for trigger in sorted(triggers, key=_place):
        if trigger.event_id in story.read or not (trigger.consumed or isinstance(trigger.event, PreparationStarted)):
            continue
        after = read(story, trigger, nothing, laws, trigger.came_at)
        if after is None or _takes_goods(story, after):
            continue
        if _opens(story, after) or _notes_cancel(story, after, trigger) or _forbids_cancels(story, trigger):
            story = after
    return story


def _place(trigger: Trigger) -> tuple[bool, datetime]:
    """Sort by time, but what came before its order behind it: it waited for it."""
    return not isinstance(trigger.event, OrderConfirmed), trigger.event.occurred_at


def _notes_cancel(before: Story, after: Story, trigger: Trigger) -> bool:
    """Whether it is a cancel that is noted. One that is refused says so, and is refused again when it is read again."""
    return isinstance(trigger.event, OrderCancelRequested) and after.said == before.said


def _forbids_cancels(before: Story, trigger: Trigger) -> bool:
    """Whether it says that the preparation has begun. Of an order that is cancelled an operator must hear it again."""
    order = before.order
    if order is None or not isinstance(trigger.event, PreparationStarted):
        return False
    return order.cancel is None and order.effective_status is not Status.CANCELLED


def _takes_goods(before: Story, after: Story) -> bool:
    return any(call.kind is OperationKind.RESERVE for call in after.calls[len(before.calls) :])


def _opens(before: Story, after: Story) -> bool:
    known = () if before.order is None else before.order.operations
    return after.order is not None and any(o not in known for o in after.order.operations)


def look_up_first(story: Story, known: Sequence[Operation], now: datetime) -> Story:
    """Return the story with every unfinished operation that the database has not had as one without an answer.

    That a bank had accepted one is a guess; asked about it, the gateway says so again. Two are known to be pending: a
    payment that waits for its customer, and a refund behind which the order went on.
    """
    order = story.order
    if order is None:
        return story
    had = {operation.operation_id: operation for operation in known}
    for operation in order.operations:
        if operation.due_at is None or had.get(operation.operation_id) == operation:
            continue
        pending_refund = operation.kind is OperationKind.REFUND and operation.state is OperationState.PENDING
        if not pending_refund and not waits_for_customer(operation):
            operation = replace(  # noqa: PLW2901 - the same call, in another state
                operation,
                state=OperationState.UNKNOWN,
                unknown_since=operation.opened_at,
                tries=max(operation.tries, 1),
                detail=LOST,
            )
        order = order.with_operation(replace(operation, due_at=now))
    return replace(story, order=order)

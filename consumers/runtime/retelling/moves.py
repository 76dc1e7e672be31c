"""What may have happened to an order next: a trigger was read, an answer came, or its time was up."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from consumers.adapters.gateway.references import could_name
from consumers.gateway_told import ROWS
from consumers.runtime.retelling.answers import WAITS, guess, is_odd
from consumers.runtime.retelling.facts import FACTS
from consumers.runtime.retelling.story import Laws, Story, take
from consumers.runtime.retelling.told import Told, Trigger
from domain.approving import refuse_unapproved
from domain.decision import Decision
from domain.extending import keep_extended
from domain.goods import expire_hold
from domain.hearing import Hearing, attempt_of, hear
from domain.lease import looks_back, settle_answer
from domain.operation import Operation, OperationKind, operation_id
from domain.order import Hold, HoldState, Order, Status
from domain.outcome import Outcome
from domain.ports.inventory import InventoryCall
from domain.resolving import resolve
from domain.rules import Context
from domain.ruling import No, Ruling, Word
from domain.settling import notify_delay
from domain.stuck import revive
from domain.values import replace
from schemas import events as e

PLAIN: Final = 1
ASIDE: Final = 1
"""What a step costs besides that has nothing to do with what caused the next event, or brings its call no end."""
LATE: Final = 3
"""What an event costs besides that was said though something waited to be read for longer."""
ODD: Final = 4
"""What a step costs that is rare. The cheapest way to what is told is taken for what happened."""
SKEW: Final = timedelta(seconds=300)
BY: Final = "taken over from the topics"


class Move(NamedTuple):
    """What may have happened, and what it costs to believe it."""

    cost: int
    after: Story


def moves(story: Story, told: Told, triggers: Sequence[Trigger], laws: Laws) -> Iterator[Move]:
    """Yield what may come of the story at the moment of the next event that is told.

    triggers: those of one topic in the order in which they stand there.
    """
    next_told = told.after(story.version)
    if not next_told:
        return
    at = next_told[0].occurred_at
    yield from _read(story, told, triggers, laws, at)
    order = story.order
    if order is None:
        return
    # What was asked for before would have been read by now, unless its consumer was far behind.
    late = LATE if any(_is_late(story, trigger, told, laws, at) for trigger in triggers) else 0
    for move in _without_trigger(story, told, next_told, laws, at):
        yield move._replace(cost=move.cost + late) if move.after.version > story.version else move


def _without_trigger(
    story: Story, told: Told, next_told: Sequence[e.OwnEvent], laws: Laws, at: datetime
) -> Iterator[Move]:
    assert story.order is not None
    for operation in story.order.operations:
        if operation.unfinished:
            yield from _settle(story, operation, told, next_told, laws, at)
    for further in (
        _in_time(story, told, laws, at),
        _hear(story, told, next_told, laws, at),
        _rule(story, told, next_told, laws, at),
    ):
        yield from (Move(PLAIN, after) for after in further)


def read(
    story: Story, trigger: Trigger, told: Told, laws: Laws, at: datetime, early: tuple[e.Event, ...] = ()
) -> Story | None:
    """Return the story after this trigger was read at this moment; None if it has no effect.

    early: what had come before its order.
    """
    event, reaction = trigger.event, laws.by_trigger[trigger.event.TYPE]
    context = Context(at, trigger.event_id, laws.rules, trigger.content, early, recorded_at=trigger.recorded_at)
    if isinstance(event, e.OwnEvent) and (story.order is None or event.order_version > story.version):
        return None
    decision = reaction.plan(story.order, event, context)
    after = take(story, decision, context, laws, told)
    return None if after is None else replace(after, read=after.read | {trigger.event_id})


def _read(story: Story, told: Told, triggers: Sequence[Trigger], laws: Laws, at: datetime) -> Iterator[Move]:
    passed_over: set[str] = set()
    cause = told.after(story.version)[0].causation_id
    for trigger in triggers:
        event = trigger.event
        if trigger.event_id in story.read or event.occurred_at > at + SKEW:
            continue
        cost = ODD if event.TYPE in passed_over else PLAIN + ASIDE * (trigger.event_id != cause)
        for after in _read_one(story, trigger, told, triggers, laws, at):
            passed_over.add(event.TYPE)
            yield Move(cost, after)


def _is_late(story: Story, trigger: Trigger, told: Told, laws: Laws, at: datetime) -> bool:
    """Whether this was asked for before, was read, and has had no effect so far though it would have one."""
    event = trigger.event
    if not trigger.consumed or isinstance(event, e.OwnEvent) or trigger.event_id in story.read:
        return False
    return trigger.came_at < at and read(story, trigger, told, laws, trigger.came_at) is not None


def _read_one(
    story: Story, trigger: Trigger, told: Told, triggers: Sequence[Trigger], laws: Laws, at: datetime
) -> Iterator[Story]:
    now = read(story, trigger, told, laws, at)
    # The moment of a step that says nothing is not told. It was not before the message: so no key is taken for
    # younger than it is, and what was in time then is not too late.
    then = read(story, trigger, told, laws, min(at, trigger.came_at))
    if now is not None and now.version > story.version:
        yield now
    if then is not None and then.version == story.version:
        yield then
    elif now is not None and now.version == story.version:
        yield now
    if isinstance(trigger.event, e.OrderConfirmed) and story.order is None:
        yield from _cancelled_early(story, trigger, told, triggers, laws, at)


def _cancelled_early(
    story: Story, trigger: Trigger, told: Told, triggers: Sequence[Trigger], laws: Laws, at: datetime
) -> Iterator[Story]:
    """Yield what comes of an order that found a cancel waiting for it."""
    for cancel in triggers:
        if isinstance(cancel.event, e.OrderCancelRequested):
            after = read(story, trigger, told, laws, at, early=(cancel.event,))
            if after is not None:
                yield replace(after, read=after.read | {cancel.event_id})


def _settle(
    story: Story, operation: Operation, told: Told, next_told: Sequence[e.OwnEvent], laws: Laws, at: datetime
) -> Iterator[Move]:
    order = story.order
    assert order is not None
    settle = laws.by_name[operation.reaction].settle
    for outcome in guess(operation, order.attempts[operation.attempt - 1], next_told, told):
        for moment in _moments(operation, outcome, told, at):
            context = Context(moment, operation.causation_id, laws.rules)
            seen = story.looking_back if looks_back(order, operation, outcome) else order
            decision = settle_answer(settle, seen, operation, outcome, None, context)
            after = take(story, decision, context, laws, told)
            if after is not None and after.order != order:
                aside = isinstance(outcome, WAITS) or operation.causation_id != next_told[0].causation_id
                yield Move(ODD if is_odd(operation, outcome) else PLAIN + ASIDE * aside, after)


def _moments(operation: Operation, outcome: Outcome, told: Told, at: datetime) -> tuple[datetime, ...]:
    """Return when an answer may have come.

    One that leaves it unfinished may have come at once, or at the end. When money was taken is told.
    """
    if operation.kind is OperationKind.CAPTURE:
        for event in told:
            if isinstance(event, e.PaidAndConfirmed) and event.attempt == operation.attempt and event.captured_at <= at:
                return (event.captured_at, at)
    waits = isinstance(outcome, WAITS)
    return (at, operation.opened_at) if waits and operation.opened_at < at else (at,)


def _in_time(story: Story, told: Told, laws: Laws, at: datetime) -> Iterator[Story]:
    """Yield what the sweep may have done because time had passed."""
    order, context = story.order, Context(at, None, laws.rules)
    assert order is not None
    for hold in order.holds:
        if hold.state is HoldState.HELD:
            yield from _expire(story, order, hold, context, laws, told)
    yield from _taken(story, notify_delay(order, context), context, laws, told)
    yield from _taken(story, refuse_unapproved(order, context), context, laws, told)
    extended = keep_extended(order, context) if laws.rules.inventory_elsewhere else None
    if extended is not None:
        yield from _taken(story, Decision(extended), context, laws, told)
    # How often its events were sent again is not told.
    stuck = replace(context, rules=replace(laws.rules, resends_max=0))
    revived = revive(order, stuck)
    if revived is not None:
        yield from _taken(story, revived, context, laws, told)


def _expire(story: Story, order: Order, hold: Hold, context: Context, laws: Laws, told: Told) -> Iterator[Story]:
    """Yield what came of a hold that ran out. The stock of our own gets its goods back with the decision."""
    name = operation_id(order.order_id, hold.attempt, OperationKind.RELEASE, 1)
    release = InventoryCall(name, OperationKind.RELEASE, hold.reservation_id, order.lines, hold.expires_at)
    for after in _taken(story, expire_hold(order, hold.attempt, context), context, laws, told):
        yield after if laws.rules.inventory_elsewhere else replace(after, calls=(*after.calls, release))


def _hear(story: Story, told: Told, next_told: Sequence[e.OwnEvent], laws: Laws, at: datetime) -> Iterator[Story]:
    """Yield what the gateway may have told unasked."""
    context = Context(at, None, laws.rules)
    for event in next_told:
        for make in FACTS:
            order = story.looking_back
            number = getattr(event, "attempt", order.attempt)
            attempt = next((one for one in order.attempts if one.number == number), None)
            fact = None if attempt is None else make(event, order, attempt)
            if attempt is None or fact is None:
                continue
            found = attempt_of(order, attempt.transaction_id or "", None)
            heard = hear(ROWS, Hearing(order, fact, context, found, story.disputes, at))
            if heard is not None:
                yield from _taken(story, heard, context, laws, told)


def _rule(story: Story, told: Told, next_told: Sequence[e.OwnEvent], laws: Laws, at: datetime) -> Iterator[Story]:
    """Yield what an operator may have said of an order under review."""
    order = story.order
    if order is None or order.status is not Status.MANUAL_REVIEW:
        return
    context = Context(at, None, laws.rules)
    settles = {name: reaction.settle for name, reaction in laws.by_name.items()}
    history = sorted(story.looking_back.operations, key=lambda o: (o.opened_at, o.attempt, o.try_number, o.kind))
    names = [getattr(ev, field, None) for ev in next_told for field in ("transaction_id", "refund_id")]
    for word, reference in [
        *((Word.EXECUTED, name) for name in dict.fromkeys([*names, None])),
        (Word.NOT_EXECUTED, None),
    ]:
        ruled = resolve(order, history, Ruling(word, BY, BY, reference), settles, could_name, context)
        if not isinstance(ruled, No):
            yield from _taken(story, ruled, context, laws, told)


def _taken(story: Story, decision: Decision, context: Context, laws: Laws, told: Told) -> Iterator[Story]:
    after = take(story, decision, context, laws, told)
    if after is not None and (after.order != story.order or after.heard != story.heard):
        yield after

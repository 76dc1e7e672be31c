"""A random life whose database is lost: what is left is a backup of a random moment, the topics, and the world outside.

What was decided last may not be on the topics: it waited in the outbox that is lost, too.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.retelling import Laws, Retold, Story, Told, Trigger, begin_consumed, look_up_first, retell
from domain.content import content_hash
from domain.ids import EventId, OrderId
from domain.operation import GATEWAY_KINDS, OperationKind
from domain.order import reservation_id
from schemas import events as e
from tests.domain.driver import LINES, RULES, Run
from tests.domain.second_thoughts import Life
from tests.domain.second_thoughts_elsewhere import LifeElsewhere

AnyRun = TypeVar("AnyRun", bound=Run)
UNSENT_MAX: Final = 3
LAWS: Final = Laws(BY_NAME, BY_TRIGGER, RULES)


@dataclass
class Lost:
    """backup: the life as it was when the backup was made. life: as it went on. published: events on the topics."""

    backup: Run
    life: Run
    published: list[e.OwnEvent]

    @property
    def laws(self) -> Laws:
        """Return what decides."""
        return LAWS._replace(rules=self.life.rules)

    @property
    def triggers(self) -> list[Trigger]:
        """Return what stands on the topics, or waits in the backup, and is not processed there."""
        unsent = {event.event_id for event in self.life.journal} - {event.event_id for event in self.published}
        here = [*self.life.delivered, *self.life.undelivered, *_waiting(self.life)]
        new = {event.event_id: event for event in here if EventId(event.event_id) not in self.backup.inbox}
        new |= {event.event_id: event for event in _waiting(self.backup)}
        consumed = {event.event_id for event in (*self.life.delivered, *_waiting(self.life))}
        return [
            Trigger(
                event,
                content_hash(event) if isinstance(event, e.OrderConfirmed) else b"",
                event.event_id in consumed,
            )
            for event in new.values()
            if event.event_id not in unsent
        ]

    def retell(self) -> Retold:
        """Bring the backup's order to what is told."""
        run = self.backup
        ended = tuple(o for o in run.history.values() if not o.unfinished)
        story = Story(run.order, ended, disputes=tuple(run.disputes) if isinstance(run, Life) else ())
        told = Told(event for event in self.published if event.order_version > story.version)
        return retell(story, told, [t for t in self.triggers if _may_tell(t)], self.laws)

    def go_on(self, story: Story) -> Run:
        """Return the life as it goes on with this order, after all processes were killed and started again."""
        life, backup = self.life, self.backup
        triggers = self.triggers
        known = backup.order.operations if backup.order is not None else ()
        story = begin_consumed(story, [t for t in triggers if _may_tell(t)], self.laws)
        story = look_up_first(story, known, life.at)
        life.order = story.order
        life.history = {**backup.history, **{o.operation_id: o for o in story.ended if self._has_row(o.kind)}}
        if story.order is not None:
            life.history |= {o.operation_id: o for o in story.order.operations if self._has_row(o.kind)}
        life.inbox = backup.inbox | story.read
        life.claims, life.answers = [], []
        while life.late or (isinstance(life, LifeElsewhere) and life.late_stock):
            life.arrive()  # the processes are stopped for longer than a call may take
        left = [t.event for t in triggers if t.event_id not in story.read]
        waiting = {event.event_id for event in _waiting(backup)}
        life.undelivered = [event for event in left if event.event_id not in waiting]
        life.delivered = [event for event in life.delivered if EventId(event.event_id) in life.inbox]
        if isinstance(life, Life):
            life.waiting = [event for event in left if event.event_id in waiting]
            life.disputes = list(story.disputes)
            assert isinstance(backup, Life)
            life.alarms = copy.copy(backup.alarms)  # what rang before the loss may ring once more
            life.told_status = story.disputes[-1].status if story.disputes else ""
        told = {event.event_id for event in self.published}
        new = [event for event in story.said if event.event_id not in told]
        life.journal = sorted([*self.published, *new], key=lambda event: (event.order_version, event.ordinal))
        life.undelivered += [event for event in new if event.TYPE in BY_TRIGGER and event.event_id not in life.inbox]
        if isinstance(life, LifeElsewhere):
            life.far.forgetful = True  # until when a hold shall last is a parameter, and follows the clock
        else:
            self._restock(story)
        for number, account in life.gateway.accounts.items():
            voids = [o for o in life.history.values() if (o.kind, o.attempt) == (OperationKind.VOID, number)]
            if account.voided and not voids:
                # Nobody knows any more that it was we who gave it up: the gateway shows what a lapse leaves.
                account.voided, account.lapsed = False, True
        return life

    def _has_row(self, kind: OperationKind) -> bool:
        return kind in GATEWAY_KINDS or self.life.rules.inventory_elsewhere

    def _restock(self, story: Story) -> None:
        """Restore the shelf with the database, and do there what the story did. Rivals have their goods."""
        rivals = self.life.shelf.rivals
        shelf = copy.deepcopy(self.backup.shelf)
        for call in story.calls:
            number = next(n for n in range(1, 10) if reservation_id(_order_of(story), n) == call.reservation_id)
            if call.kind is OperationKind.RESERVE:
                shelf.available = {sku: n + 9 for sku, n in shelf.available.items()}
            shelf.perform(number, call)
            if call.kind is OperationKind.RESERVE:
                shelf.available = {sku: n - 9 for sku, n in shelf.available.items()}
        for sku, units in LINES.items():
            shelf.available[sku] -= units * (rivals - shelf.rivals)
        shelf.rivals = rivals
        self.life.shelf = shelf


def lose(seed: str, make: Callable[[Random], AnyRun], step: Callable[[AnyRun], None], steps: int) -> Lost:
    """Live, make a backup at a random moment, and lose what waited in the outbox in the end."""
    rng = Random(f"lost {seed}")
    cut = rng.randrange(steps)
    run = make(Random(seed))
    backup = copy.deepcopy(run)
    for n in range(steps):
        if n == cut:
            backup = copy.deepcopy(run)
        step(run)
    sent = len(run.journal) - (rng.randrange(UNSENT_MAX + 1) if rng.random() < 0.5 else 0)
    # What stands in the backup's outbox is not lost: its relay sends it. What others have read was sent: consumers,
    # and customers who pay again because they heard that a payment had failed.
    read = {event.event_id for event in run.delivered}
    heard = [n for n, event in enumerate(run.journal, 1) if event.event_id in read or _is_answered(event)]
    return Lost(backup, run, run.journal[: max([sent, len(backup.journal), *heard])])


def _is_answered(event: e.OwnEvent) -> bool:
    return isinstance(event, e.PaymentFailed | e.PaidAndConfirmed)


def _waiting(run: Run) -> list[e.Event]:
    return list(run.waiting) if isinstance(run, Life) else []


def _may_tell(trigger: Trigger) -> bool:
    return not isinstance(trigger.event, e.CustomerNotificationRequested)


def _order_of(story: Story) -> OrderId:
    assert story.order is not None
    return story.order.order_id

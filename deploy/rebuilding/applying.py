"""Takes orders over from their topics into a restored database, some at a time, each time in one transaction.

It may be interrupted, and repeated: what is done is not done again, for then the database knows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.retelling import Laws, Story, Told, Trigger, begin_consumed, look_up_first, retell
from consumers.stock_adjusted import adjust_stock
from deploy.rebuilding.taken import Lag, TakenOver, stock_moves
from domain.content import hash_content, inbox_content
from domain.early import EarlyMessage
from domain.ids import OrderId
from domain.order import Order
from domain.ports.inventory import InventoryCall
from domain.ports.store import Change, Changes, SetAside
from domain.rules import Context, Rules
from domain.values import replace
from outbox.audit.rebuild.kept import Kept
from outbox.operators.taking_over import cover, take_out
from outbox.store import PostgresStore
from outbox.store.adjusting import adjust_stock as adjust_stock_rows
from outbox.store.stock import move
from outbox.store.transaction import PgTransaction
from schemas.codec import Codec
from schemas.events import CustomerNotificationRequested, Event, OwnEvent, PaymentFailed, StockAdjusted
from schemas.rejection import Rejected

AT_ONCE: Final = 10
"""Orders in a transaction. It must not stand still for long: an order for which no way is found takes seconds."""
LATEST_MS: Final = 4_102_444_800_000
"""The year 2100. A publisher may write any number into a message."""
TWO_BODIES: Final = "two different messages have the event id {}"
NO_WAY: Final = (
    "no rule of this release leads from version {} to what the topics say of version {}: bring it there by hand, or "
    "let it be decided anew"
)


class Recall:
    """Encodes an event as it stands on its topic, byte for byte, if it stands there."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.bodies: dict[int, bytes] = {}

    def encode(self, event: Event) -> bytes:
        """Return the body. By the number of the id: a UUID is hashed in Python."""
        return self.bodies.get(event.event_id.int) or self._codec.encode(event)


class _File(NamedTuple):
    """What the topics and the database have of one order. early: messages that waited for it in the backup."""

    order_id: OrderId
    told: Told
    bodies: Mapping[int, bytes]
    triggers: Sequence[Trigger]
    early: Mapping[int, int]
    two_bodies: str


class Applier:
    """Takes over batches of orders."""

    def __init__(self, store: PostgresStore, recall: Recall, codec: Codec, prefix: str, rules: Rules) -> None:
        self._store = store
        self._recall = recall
        self._codec = codec
        self._prefix = prefix
        self._laws = Laws(BY_NAME, BY_TRIGGER, rules)
        self.done = TakenOver()

    async def apply(self, orders: Sequence[Sequence[Kept]]) -> None:
        """Take these orders over, in one transaction. Of each there are all kept messages."""
        await self._adjust([one for kept in orders for one in kept if one.order_id.startswith(" ")])
        files = [
            self._file(kept)
            for kept in orders
            if any(one.told or one.consumed for one in kept) and not kept[0].order_id.startswith(" ")
        ]
        if not files:
            return
        done = TakenOver()
        async with self._store.transaction(contended=True) as transaction:
            known = await transaction.load([file.order_id for file in files], early=True)
            changes = Changes()
            calls: list[InventoryCall] = []
            sent: list[UUID] = []
            read: list[Trigger] = []
            for file in files:
                file = self._with_early(file, transaction.early.get(file.order_id, ()))  # noqa: PLW2901
                story = await self._retell(transaction, file, known.get(file.order_id), done)
                if story is None or story.order is None:
                    continue
                self._note(story, file, known.get(file.order_id), changes, transaction.now, done)
                calls += story.calls
                sent += [event.event_id for event in story.said if event.event_id.int in file.bodies]
                read += [one for one in file.triggers if one.event_id in story.read]
                changes.applied += [file.early[one.event_id.int] for one in read if one.event_id.int in file.early]
            await self._receive(transaction, [one for one in read if one.recorded_at is not None], done)
            await self._move_stock(transaction, calls, done)
            if changes.orders or changes.applied:
                await transaction.save(changes)
            await take_out(transaction, sent)
        self._recall.bodies.clear()
        self.done.add(done)

    async def _adjust(self, kept: Sequence[Kept]) -> None:
        """Adjust the stock as warehouses said before the loss. What is refused is read, and refused, again."""
        if self._laws.rules.inventory_elsewhere:
            return
        triggers = {
            one.event_id: Trigger(event, hash_content(event, one.body or b""), one.consumed)
            for one in kept
            if one.consumed
            and self._is_taken(one)
            and isinstance(event := self._codec.read(StockAdjusted.TYPE, one.key, one.body), StockAdjusted)
        }
        if not triggers:
            return
        async with self._store.transaction(contended=True) as transaction:
            await transaction.load([])
            decided = {
                trigger.event_id: adjust_stock.plan(
                    None, trigger.event, Context(transaction.now, None, self._laws.rules)
                )
                for trigger in triggers.values()
            }
            adjustments = [one for decision in decided.values() for one in decision.adjustments]
            refused = {one.event_id for one in await adjust_stock_rows(transaction, adjustments)}
            done = TakenOver()
            await self._receive(transaction, [t for t in triggers.values() if t.event_id not in refused], done)
            await transaction.save(Changes())
        self.done.add(done)

    def _file(self, kept: Sequence[Kept]) -> _File:
        events: dict[int, OwnEvent] = {}
        bodies: dict[int, bytes] = {}
        triggers: dict[int, Trigger] = {}
        two_bodies = ""
        for one in kept:
            event = self._codec.read(one.topic.removeprefix(self._prefix), one.key, one.body)
            body, number = one.body or b"", one.event_id.int
            if one.told and isinstance(event, OwnEvent):
                if bodies.setdefault(number, body) != body:
                    two_bodies = str(one.event_id)
                events.setdefault(number, event)
            if one.trigger and number not in triggers and self._is_taken(one):
                triggers[number] = Trigger(event, hash_content(event, body), one.consumed, _moment(one.message_at))
        return _File(OrderId(kept[0].order_id), Told(events.values()), bodies, list(triggers.values()), {}, two_bodies)

    def _is_taken(self, one: Kept) -> bool:
        """Whether its consumer takes it. One that it refuses becomes a dead letter when it is read again."""
        event_type = one.topic.removeprefix(self._prefix)
        try:
            self._codec.decode(event_type, one.key, one.body)
        except Rejected:
            return False
        return event_type != CustomerNotificationRequested.TYPE

    def _with_early(self, file: _File, early: Sequence[EarlyMessage]) -> _File:
        """Return the file with what waited for the order in the backup: the inbox has it, its effect is to come."""
        waited = {}
        triggers = list(file.triggers)
        for message in early:
            event = self._codec.read(message.topic.removeprefix(self._prefix), message.key, message.body)
            triggers.append(Trigger(event, hash_content(event, message.body or b""), consumed=False))
            waited[event.event_id.int] = message.number
        return file._replace(triggers=triggers, early=waited)

    async def _retell(
        self, transaction: PgTransaction, file: _File, order: Order | None, done: TakenOver
    ) -> Story | None:
        """Return where the order stands by its events; None if it is left, or if nothing is to be done."""
        story = Story(order)
        if order is not None:
            history = await transaction.history(file.order_id)
            ended = tuple(o for o in history if not o.unfinished)
            story = replace(story, before=ended, disputes=tuple(await transaction.disputes(file.order_id)))
        if file.two_bodies:
            return await self._leave(transaction, file, story, TWO_BODIES.format(file.two_bodies), done)
        if file.told.last > story.version:
            retold = retell(story, file.told, file.triggers, self._laws)
            if retold.story is None:
                why = NO_WAY.format(retold.reached, file.told.after(retold.reached)[0].order_version)
                return await self._leave(transaction, file, story, why, done)
            story = retold.story if retold.strictly else _as_told(retold.story, file.told)
            done.orders += 1
            done.loosely += [] if retold.strictly else [file.order_id]
        before = story.order
        story = begin_consumed(story, file.triggers, self._laws)
        story = look_up_first(story, order.operations if order is not None else (), transaction.now)
        return None if before is order and story.order is order else story

    async def _leave(
        self, transaction: PgTransaction, file: _File, story: Story, why: str, done: TakenOver
    ) -> Story | None:
        await transaction.set_aside(SetAside("order", file.order_id, f"not taken over after a restore: {why}", ""))
        done.left.append(Lag(file.order_id, story.version, why))
        return None

    def _note(
        self, story: Story, file: _File, before: Order | None, changes: Changes, now: datetime, done: TakenOver
    ) -> None:
        whole = story.whole
        changes.orders.append(Change(None if before is None else story.at_first(before), whole))
        changes.events += story.said
        changes.disputes += [(file.order_id, dispute) for dispute in story.heard]
        self._recall.bodies |= file.bodies
        done.events += len(story.said)
        done.unsent += sum(event.event_id.int not in file.bodies for event in story.said)
        done.begun += sum(o.due_at == now for o in whole.operations)

    async def _receive(self, transaction: PgTransaction, read: Iterable[Trigger], done: TakenOver) -> None:
        """Enter the triggers into the inbox, whose effects the orders have."""
        by_group: dict[str, list[Trigger]] = {}
        for one in read:
            by_group.setdefault(BY_TRIGGER[one.event.TYPE].group, []).append(one)
        for group, triggers in sorted(by_group.items()):
            contents = [inbox_content(one.content) for one in triggers]
            await transaction.receive(group, [one.event for one in triggers], contents)
            done.inbox += len(triggers)

    async def _move_stock(self, transaction: PgTransaction, calls: Sequence[InventoryCall], done: TakenOver) -> None:
        moves = stock_moves(calls)
        if moves:
            done.covered |= await cover(transaction, moves)
            transaction.at_end(partial(move, transaction, moves))


def _as_told(story: Story, told: Told) -> Story:
    """Return the story with the times that others were told, where this release would say other ones."""
    order = story.order
    assert order is not None
    said = tuple(told.at(event) or event for event in story.said)
    failed = [event for event in said if isinstance(event, PaymentFailed) and event.attempt == order.attempt]
    if failed and order.retryable:
        order = replace(order, retry_until=failed[-1].retry_until)
    return replace(story, order=order, said=said)


def _moment(timestamp_ms: int) -> datetime:
    """Return a message's time-stamp; the earliest moment if no clock could show it."""
    return datetime.fromtimestamp(timestamp_ms / 1000 if 0 < timestamp_ms < LATEST_MS else 0, UTC)

"""Takes orders over from their topics into a restored database, some at a time, each time in one transaction.

It may be interrupted, and repeated: what is done is not done again, for then the database knows it.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.retelling import Laws, Story, Told, Trigger, begin_consumed, look_up_first, retell
from consumers.stock_adjusted import adjust_stock
from deploy.rebuilding.files import File, Files
from deploy.rebuilding.guards import Watch
from deploy.rebuilding.taken import Lag, TakenOver, stock_moves
from domain.blame import blame
from domain.content import hash_content, inbox_content
from domain.order import Order
from domain.ports.inventory import InventoryCall
from domain.ports.store import Change, Changes, Entry, SetAside
from domain.rules import Context, Rules
from domain.values import replace
from outbox.audit.rebuild.kept import Kept
from outbox.operators.taking_over import cover, take_out
from outbox.store import PostgresStore
from outbox.store.adjusting import adjust_stock as adjust_stock_rows
from outbox.store.stock import move
from outbox.store.transaction import PgTransaction
from schemas.codec import Codec
from schemas.events import Event, PaymentFailed, StockAdjusted

AT_ONCE: Final = 10
"""Orders in a transaction. It must not stand still for long: an order for which no way is found takes seconds."""
RAISED: Final = "to bring it there raised {}"
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


class Applier:
    """Takes over batches of orders."""

    def __init__(
        self, store: PostgresStore, recall: Recall, codec: Codec, prefix: str, rules: Rules, watch: Watch
    ) -> None:
        self._store = store
        self._watch = watch
        self._recall = recall
        self._codec = codec
        self._laws = Laws(BY_NAME, BY_TRIGGER, rules)
        self._files = Files(codec, prefix, rules)
        self.done = TakenOver()

    async def apply(self, orders: Sequence[Sequence[Kept]]) -> None:
        """Take these orders over, in one transaction. Of each there are all kept messages."""
        of_goods = [one for kept in orders for one in kept if one.order_id.startswith(" ")]
        self._note_unread(of_goods, await self._adjust(of_goods), self.done)
        files = [
            self._files.open(kept)
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
                file = self._files.with_early(file, transaction.early.get(file.order_id, ()))  # noqa: PLW2901
                file = self._files.until_now(file, transaction.now)  # noqa: PLW2901
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
            await self._watch.refuse(await transaction.plain())
        names = {one.event_id for one in read}
        for kept in orders:
            if not kept[0].order_id.startswith(" "):
                self._note_unread(kept, names, done)
        self._recall.bodies.clear()
        self.done.add(done)

    def _note_unread(self, kept: Sequence[Kept], read: Collection[UUID], done: TakenOver) -> None:
        """Note what was read before the loss, and is left to be read again. read: what is done with."""
        for one in kept:
            if not one.trigger or not one.consumed or one.message_at <= 0 or one.event_id in read:
                continue
            if (done.unread_since is None or one.message_at < done.unread_since) and self._files.is_taken(one):
                done.unread_since = one.message_at

    async def _adjust(self, kept: Sequence[Kept]) -> set[UUID]:
        """Adjust the stock as warehouses said before the loss, and return which messages had their effect.

        What is refused is read, and refused, again.
        """
        if self._laws.rules.inventory_elsewhere:
            return set()
        triggers = {
            one.event_id: Trigger(event, hash_content(event, one.body or b""), one.consumed)
            for one in reversed(kept)  # of several with one id the first counts, as it did
            if one.consumed
            and self._files.is_taken(one)
            and isinstance(event := self._codec.read(StockAdjusted.TYPE, one.key, one.body), StockAdjusted)
        }
        if not triggers:
            return set()
        async with self._store.transaction(contended=True) as transaction:
            await transaction.load([])
            latest = self._files.latest(transaction.now)
            triggers = {name: trigger for name, trigger in triggers.items() if trigger.event.occurred_at <= latest}
            decided = {
                trigger.event_id: adjust_stock.plan(
                    None, trigger.event, Context(transaction.now, None, self._laws.rules)
                )
                for trigger in triggers.values()
            }
            adjustments = [one for decision in decided.values() for one in decision.adjustments]
            refused = {one.event_id for one in await adjust_stock_rows(transaction, adjustments)}
            done = TakenOver()
            adjusted = [trigger for trigger in triggers.values() if trigger.event_id not in refused]
            await self._receive(transaction, adjusted, done)
            await transaction.save(Changes())
            await self._watch.refuse(await transaction.plain())
        self.done.add(done)
        return {trigger.event.event_id for trigger in adjusted}

    async def _retell(
        self, transaction: PgTransaction, file: File, order: Order | None, done: TakenOver
    ) -> Story | None:
        """Return where the order stands by its events; None if it is left, or if nothing is to be done."""
        story = Story(order)
        if order is not None:
            history = await transaction.history(file.order_id)
            ended = tuple(o for o in history if not o.unfinished)
            story = replace(story, before=ended, disputes=tuple(await transaction.disputes(file.order_id)))
        if file.odd:
            return await self._leave(transaction, file, story, file.odd, done)
        try:
            found, strictly = self._search(story, file, transaction.now)
        except Exception as error:  # noqa: BLE001 - whatever one order's messages raise must not keep all others back
            found, strictly = RAISED.format(blame(error, file.order_id).detail), True
        if isinstance(found, str):
            return await self._leave(transaction, file, story, found, done)
        behind = file.told.last > story.version
        done.orders += behind
        done.loosely += [] if strictly else [file.order_id]
        return None if found.order is order and not behind else found

    def _search(self, story: Story, file: File, now: datetime) -> tuple[Story | str, bool]:
        """Return where the order stands by its events, or why nobody can say, and whether they are said as told."""
        known = story.order.operations if story.order is not None else ()
        strictly = True
        if file.told.last > story.version:
            retold = retell(story, file.told, file.triggers, self._laws)
            if retold.story is None:
                return NO_WAY.format(retold.reached, file.told.after(retold.reached)[0].order_version), True
            strictly = retold.strictly
            story = retold.story if strictly else _as_told(retold.story, file.told)
        story = begin_consumed(story, file.triggers, self._laws)
        return look_up_first(story, known, now), strictly

    async def _leave(
        self, transaction: PgTransaction, file: File, story: Story, why: str, done: TakenOver
    ) -> Story | None:
        """Put the order in quarantine, and each of its calls: what one of them was answered would decide about it."""
        detail = f"not taken over after a restore: {why}"
        for operation in () if story.order is None else story.order.operations:
            if operation.due_at is not None:
                await transaction.set_aside(SetAside("operation", file.order_id, detail, "", operation.operation_id))
        await transaction.set_aside(SetAside("order", file.order_id, detail, ""))
        done.left.append(Lag(file.order_id, story.version, why))
        return None

    def _note(
        self, story: Story, file: File, before: Order | None, changes: Changes, now: datetime, done: TakenOver
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
            await transaction.receive(Entry(group, [one.event for one in triggers], contents))
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

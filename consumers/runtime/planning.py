"""The plan transaction: a batch of messages becomes inbox rows, decisions, operations and events, or dead letters."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from consumers.runtime.ports import Bounds, Ports
from consumers.runtime.work import Work
from domain.alarms import ring
from domain.errors import Transient
from domain.ids import OrderId
from domain.ports.source import Message
from domain.ports.store import Claimed, DeadLetter, Receipt
from domain.reaction import Reaction
from domain.rules import Rules
from schemas.events import Event, OwnEvent
from schemas.registry import RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected

TOO_OLD: Final = "it is older than the inbox remembers and was not processed; publish it anew if it still matters."
UNREADABLE: Final = frozenset(
    {Reason.UNDECODABLE, Reason.NOT_CANONICAL, Reason.TOO_LARGE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_SCHEMA}
)
CLOUD_EVENTS: Final = "ce_"
NEWER: Final = "its schema is newer than this release; deploy the release that wrote it."
FUTURE: Final = "occurred_at lies in the future; check the publisher's clock, then publish it anew."
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Taken(NamedTuple):
    """A message and what it says."""

    message: Message
    event: Event


class Planner:
    """Plans the batches of one reaction. Its transaction either happens wholly or not at all."""

    def __init__(
        self, reaction: Reaction, reactions: Mapping[str, Reaction], ports: Ports, rules: Rules, bounds: Bounds
    ) -> None:
        self._reaction = reaction
        self._reactions = reactions
        self._ports = ports
        self._rules = rules
        self._few_max = bounds.few_max
        self._log = structlog.get_logger("consumers.planner").bind(reaction=reaction.name)

    async def plan(self, messages: Sequence[Message], *, contended: bool) -> list[Claimed]:
        """Run the plan transaction; return the operations to perform now, under our lease.

        Raises Contended (run it again at once) and Transient (run it again later); nothing has happened then.
        """
        taken, letters = self._read(messages)
        few = len(messages) <= self._few_max
        async with self._ports.store.transaction(contended=contended, few=few) as transaction:
            orders = await transaction.load([OrderId(t.event.order_id) for t in taken])
            latest = transaction.now + timedelta(seconds=self._rules.clock_skew_max_s)
            # A day far ahead has no partition in the inbox, so these are sorted out before it.
            letters += [
                self._letter(t.message, Reason.FROM_THE_FUTURE, FUTURE) for t in taken if t.event.occurred_at > latest
            ]
            taken = [t for t in taken if t.event.occurred_at <= latest]
            receipts = await transaction.receive(self._reaction.group, [t.event for t in taken])
            work = Work(transaction, orders, self._reactions, self._rules)
            work.changes.dead_letters += letters
            self._decide(work, taken, receipts)
            opened = await work.finish(self._ports)
        self._tell(work)
        return opened

    def _read(self, messages: Sequence[Message]) -> tuple[list[Taken], list[DeadLetter]]:
        """Decode a batch; what cannot be read, ever, becomes a dead letter. Raises Transient for what may be, later."""
        taken: list[Taken] = []
        letters: list[DeadLetter] = []
        event_type = self._reaction.trigger.TYPE
        awaited: SchemaAwaited | None = None
        for message in messages:
            try:
                taken.append(Taken(message, self._ports.decode(event_type, message.key, message.value)))
            except Rejected as rejected:
                if rejected.reason is Reason.UNKNOWN_SCHEMA and issubclass(self._reaction.trigger, OwnEvent):
                    # A newer release of ours wrote it; it is true, and this release must not pass it over.
                    raise Transient(f"{message.topic}[{message.partition}]@{message.offset}: {NEWER}") from rejected
                letters.append(self._letter(message, rejected.reason, rejected.detail))
            except SchemaAwaited as error:
                # The others are looked at all the same: what they lack is asked for at the same time.
                awaited = error
            except RegistryUnavailable as error:
                raise Transient(str(error)) from error
        if awaited is not None:
            raise Transient(str(awaited)) from awaited
        return taken, letters

    def _decide(self, work: Work, taken: Sequence[Taken], receipts: Sequence[Receipt]) -> None:
        for (message, event), receipt in zip(taken, receipts, strict=True):
            if receipt is Receipt.KNOWN:
                continue
            decision = self._reaction.plan(work.order(OrderId(event.order_id)), event, work.context(event))
            if decision.refused is not None:
                work.changes.dead_letters.append(self._letter(message, decision.refused, decision.detail))
            elif receipt is Receipt.TOO_OLD and (decision.order is not None or decision.notifications):
                # It would do something, and the inbox cannot tell whether it has done so before.
                work.changes.dead_letters.append(self._letter(message, Reason.TOO_OLD, TOO_OLD))
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

    def _letter(self, message: Message, reason: Reason, detail: str) -> DeadLetter:
        masked = 0

        def mask(value: bytes | None) -> bytes | None:
            nonlocal masked
            if value is None:
                return None
            value, found = self._ports.mask(self._reaction.trigger.TYPE, value)
            masked += found
            return value

        # The key is the order id, and CloudEvents' headers repeat ids: what looks like a card number there is none.
        # Of a message that cannot be read nobody can say so.
        key = mask(message.key) if reason in UNREADABLE else message.key
        body = mask(message.value)
        # Kafka lets a name hold NUL, which no database stores: a message must not stop us by its headers.
        headers = tuple(
            (
                name.replace("\0", REPLACEMENT),
                value if name.startswith(CLOUD_EVENTS) and reason not in UNREADABLE else mask(value) or b"",
            )
            for name, value in message.headers
        )
        return DeadLetter(
            group=self._reaction.group,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp_ms,
            key=key,
            body=body,
            headers=headers,
            masked=masked > 0,
            reason=reason,
            detail=detail,
        )

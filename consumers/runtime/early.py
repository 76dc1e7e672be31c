"""Messages that came before their order: kept in the plan transaction, and applied when the order is there."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from consumers.runtime.letters import Letters
from consumers.runtime.ports import Ports
from consumers.runtime.reading import Reader, Taken
from consumers.runtime.work import Work
from domain.dead_letter import DeadLetter
from domain.early import FIRST_LOOK_S, EarlyMessage
from domain.errors import RegistryDown
from domain.ids import EventId, OrderId
from domain.ports.source import Message
from domain.ports.store import Transaction
from domain.reaction import Reaction
from domain.rules import Rules
from domain.tracing import passed_on
from schemas.events import Event
from schemas.registry import RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected

NEVER_CAME: Final = "its order did not come in time; publish the OrderConfirmed first, then redrive."
NO_CONSUMER: Final = "this release has no consumer of its group; start one that has, then redrive."


class Found(NamedTuple):
    """An early message with the reaction that it waits for, decoded again; or its dead letter, if it cannot be."""

    kept: EarlyMessage
    reaction: Reaction | None
    taken: Taken | DeadLetter


def events_of(found: Sequence[Found]) -> tuple[Event, ...]:
    """Return the events of messages that could be read, in order of arrival."""
    return tuple([each.taken.event for each in found if isinstance(each.taken, Taken)])


class EarlyMessages:
    """Keeps messages and applies them. reactions: by name."""

    def __init__(self, reactions: Mapping[str, Reaction], ports: Ports, rules: Rules) -> None:
        self._by_group = {reaction.group: reaction for reaction in reactions.values()}
        self._ports = ports
        self._rules = rules

    def keep(self, transaction: Transaction, group: str, one: Taken) -> EarlyMessage:
        """Return the row of a message whose order is not there."""
        message, now, wait_s = one.message, transaction.now, self._rules.early_wait_s
        return EarlyMessage(
            group=group,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp_ms,
            key=message.key,
            body=message.value,
            headers=tuple(message.headers),
            event_id=EventId(one.event.event_id),
            order_id=OrderId(one.event.subject),
            look_at=now + timedelta(seconds=min(FIRST_LOOK_S, wait_s)),
            give_up_at=now + timedelta(seconds=wait_s),
        )

    def read(self, kept: Sequence[EarlyMessage]) -> list[Found]:
        """Decode messages again, in order of arrival. Raises RegistryDown if a schema cannot be had now."""
        return [self._read(each) for each in kept]

    def apply(self, work: Work, found: Found) -> DeadLetter | None:
        """Decide on one whose order is there now. Return its dead letter if it is refused."""
        work.changes.applied.append(found.kept.number)
        if not isinstance(found.taken, Taken) or found.reaction is None:
            return found.taken if isinstance(found.taken, DeadLetter) else None
        event = found.taken.event
        context = work.context(found.kept.event_id, found.taken.content)
        decision = found.reaction.plan(work.order(found.kept.order_id), event, context)
        if decision.refused is not None:
            return self._letter(found, decision.refused, decision.detail)
        work.apply(decision, passed_on(found.kept.headers) if self._ports.tracer is not None else None)
        return None

    def give_up(self, work: Work, found: Found) -> DeadLetter:
        """Make the dead letter of one whose order never came."""
        work.changes.applied.append(found.kept.number)
        if isinstance(found.taken, DeadLetter):
            return found.taken
        return self._letter(found, Reason.UNKNOWN_ORDER, NEVER_CAME)

    def wait_behind(self, work: Work, found: Found, detail: str) -> DeadLetter:
        """Put one into quarantine behind what is there of its order."""
        work.changes.applied.append(found.kept.number)
        if isinstance(found.taken, DeadLetter):
            return found.taken
        assert found.reaction is not None
        letters = Letters(found.kept.group, found.reaction.trigger.TYPE, self._ports.mask)
        return letters.of_message(
            found.taken.message,
            Reason.QUARANTINED,
            detail,
            found.taken.event,
            own_inbox=True,
            waits=True,
            behind=True,
        )

    def _read(self, kept: EarlyMessage) -> Found:
        message = Message(kept.topic, kept.partition, kept.offset, kept.key, kept.body, kept.headers, kept.timestamp_ms)
        reaction = self._by_group.get(kept.group)
        if reaction is None:
            letters = Letters(kept.group, "", self._ports.mask)
            return Found(kept, None, letters.of_message(message, Reason.UNKNOWN_ORDER, NO_CONSUMER, own_inbox=True))
        letters = Letters(reaction.group, reaction.trigger.TYPE, self._ports.mask)
        try:
            return Found(kept, reaction, Reader(reaction, self._ports.decode, letters).read_one(message))
        except Rejected as rejected:
            # It was read before, so a setting has changed meanwhile.
            letter = letters.of_message(message, rejected.reason, rejected.detail, own_inbox=True)
            return Found(kept, reaction, letter)
        except (SchemaAwaited, RegistryUnavailable) as error:
            raise RegistryDown(str(error)) from error

    def _letter(self, found: Found, reason: Reason, detail: str) -> DeadLetter:
        assert found.reaction is not None
        assert isinstance(found.taken, Taken)
        letters = Letters(found.kept.group, found.reaction.trigger.TYPE, self._ports.mask)
        return letters.of_message(found.taken.message, reason, detail, found.taken.event, own_inbox=True)

"""What is known of one order at a take-over: what its topics say, and what its consumers have read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumers.runtime.retelling import Told, Trigger
from domain.content import hash_content
from domain.early import EarlyMessage
from domain.ids import OrderId
from domain.rules import Rules
from outbox.audit.rebuild.kept import Kept
from schemas.codec import Codec
from schemas.events import CustomerNotificationRequested, OwnEvent
from schemas.rejection import Rejected

LATEST_MS: Final = 4_102_444_800_000
"""The year 2100. A publisher may write any number into a message."""
TWO_BODIES: Final = "two different messages have the event id {}"
TWO_DECISIONS: Final = "its topics have two different events in one place, {} and {}"
TO_COME: Final = "its event {} is said to have occurred at {}, which is still to come"


class File(NamedTuple):
    """What the topics and the database have of one order. early: messages that waited for it in the backup.

    odd: why its events cannot be believed; empty: they can.
    """

    order_id: OrderId
    told: Told
    bodies: Mapping[int, bytes]
    triggers: Sequence[Trigger]
    early: Mapping[int, int]
    odd: str


class Files:
    """Opens the file of an order."""

    def __init__(self, codec: Codec, prefix: str, rules: Rules) -> None:
        self._codec = codec
        self._prefix = prefix
        self._rules = rules

    def open(self, kept: Sequence[Kept]) -> File:
        """Return what these messages of one order say."""
        events: dict[int, OwnEvent] = {}
        places: dict[tuple[int, int], OwnEvent] = {}
        bodies: dict[int, bytes] = {}
        triggers: dict[int, Trigger] = {}
        odd = ""
        for one in kept:
            event = self._codec.read(one.topic.removeprefix(self._prefix), one.key, one.body)
            body, number = one.body or b"", one.event_id.int
            if one.told and isinstance(event, OwnEvent):
                if bodies.setdefault(number, body) != body:
                    odd = TWO_BODIES.format(one.event_id)
                first = places.setdefault((event.order_version, event.ordinal), event)
                if first.event_id != event.event_id:
                    odd = odd or TWO_DECISIONS.format(first.event_id, event.event_id)
                events.setdefault(number, event)
            if one.trigger and number not in triggers and self.is_taken(one):
                triggers[number] = Trigger(event, hash_content(event, body), one.consumed, _moment(one.message_at))
        return File(OrderId(kept[0].order_id), Told(events.values()), bodies, list(triggers.values()), {}, odd)

    def is_taken(self, one: Kept) -> bool:
        """Whether its consumer takes it. One that it refuses becomes a dead letter when it is read again."""
        event_type = one.topic.removeprefix(self._prefix)
        try:
            self._codec.decode(event_type, one.key, one.body)
        except Rejected:
            return False
        return event_type != CustomerNotificationRequested.TYPE

    def with_early(self, file: File, early: Sequence[EarlyMessage]) -> File:
        """Return the file with what waited for the order in the backup: the inbox has it, its effect is to come."""
        waited = {}
        triggers = list(file.triggers)
        for message in early:
            event = self._codec.read(message.topic.removeprefix(self._prefix), message.key, message.body)
            triggers.append(Trigger(event, hash_content(event, message.body or b""), consumed=False))
            waited[event.event_id.int] = message.number
        return file._replace(triggers=triggers, early=waited)

    def until_now(self, file: File, now: datetime) -> File:
        """Return the file without what nobody can have read yet: its consumer refuses a message from the future.

        A time-stamp on the topic that is still to come is of no use, and must not make a call younger than it is.
        """
        latest = self.latest(now)
        triggers = [
            one._replace(recorded_at=_moment(0)) if one.recorded_at is not None and one.recorded_at > latest else one
            for one in file.triggers
            if one.event.occurred_at <= latest
        ]
        to_come = next((event for event in file.told if event.occurred_at > latest), None)
        odd = file.odd or ("" if to_come is None else TO_COME.format(to_come.event_id, to_come.occurred_at))
        return file._replace(triggers=triggers, odd=odd)

    def latest(self, now: datetime) -> datetime:
        """Return the time after which a message is from the future."""
        return now + timedelta(seconds=self._rules.clock_skew_max_s)


def _moment(timestamp_ms: int) -> datetime:
    """Return a message's time-stamp; the earliest moment if no clock could show it."""
    return datetime.fromtimestamp(timestamp_ms / 1000 if 0 < timestamp_ms < LATEST_MS else 0, UTC)

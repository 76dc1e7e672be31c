"""What the topics tell of one order: its triggers, and its events by their places."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from domain.ids import EventId
from schemas.events import Event, OwnEvent

TEXTS: Final = frozenset({"reason", "retry_until", "expires_at", "captured_at", "url"})
"""What follows from settings or the texts of a release, and moves neither money nor goods."""


class Trigger(NamedTuple):
    """A message that the inbox does not know. content: the hash of what it says. consumed: its group may have read it.

    recorded_at: its time-stamp on the topic; None: none that is of use.
    """

    event: Event
    content: bytes
    consumed: bool
    recorded_at: datetime | None = None

    @property
    def came_at(self) -> datetime:
        """Return when it came onto its topic: nobody can have read it before."""
        occurred_at = self.event.occurred_at
        return occurred_at if self.recorded_at is None else max(occurred_at, self.recorded_at)

    @property
    def event_id(self) -> EventId:
        """Return the event's id."""
        return EventId(self.event.event_id)


class Told:
    """Events of one order that stand on its topics, later than the database has them. Copies count once.

    strict: an event is said again if it is equal. Else TEXTS may differ: another release or other settings said it.
    """

    def __init__(self, events: Iterable[OwnEvent], *, strict: bool = True) -> None:
        self._by_place = {(event.order_version, event.ordinal): event for event in events}
        self._versions: dict[int, list[OwnEvent]] = {}
        for _, event in sorted(self._by_place.items()):
            self._versions.setdefault(event.order_version, []).append(event)
        self.last = max(self._versions, default=0)
        self._strict = strict

    def __iter__(self) -> Iterator[OwnEvent]:
        """Yield all of them, in order."""
        for version in sorted(self._versions):
            yield from self._versions[version]

    def loosely(self) -> "Told":
        """Return the same events, for a comparison without TEXTS."""
        return Told(self, strict=False)

    def after(self, version: int) -> Sequence[OwnEvent]:
        """Return the events of the next decision behind this version, and those of the same moment. Empty: none."""
        later = [event for event in self if event.order_version > version]
        return [event for event in later if event.occurred_at == later[0].occurred_at]

    def agrees(self, said: Sequence[OwnEvent]) -> bool:
        """Whether one transaction may have said this: something of it is told, and nothing of it otherwise.

        Events of it that are not told were in the outbox when the database was lost.
        """
        versions = {event.order_version for event in said}
        places = {(event.order_version, event.ordinal) for event in said}
        told = [event for version in versions for event in self._versions.get(version, ())]
        if not told or any((event.order_version, event.ordinal) not in places for event in told):
            return False
        return all(self._is_same(event) for event in said)

    def at(self, event: OwnEvent) -> OwnEvent | None:
        """Return the event that is told at the place of this one."""
        return self._by_place.get((event.order_version, event.ordinal))

    def _is_same(self, said: OwnEvent) -> bool:
        told = self.at(said)
        if told is None or told == said:
            return True
        if self._strict or told.event_id != said.event_id:
            return False
        return told.model_dump(exclude=set(TEXTS)) == said.model_dump(exclude=set(TEXTS))

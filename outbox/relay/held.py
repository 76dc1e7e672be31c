"""What the relay holds for a while: a refused message and later ones with its key, or a whole topic."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from domain.ports.publisher import OutgoingMessage, Published, Refusal, Scope

PAUSE_S: Final = 30.0
"""Wait before the next try. It doubles with each further refusal."""
PAUSE_MAX_S: Final = 300.0
STALLED_PAUSE_S: Final = 2.0
STALLED_PAUSE_MAX_S: Final = 60.0
"""Shorter: a partition mostly has a new leader within seconds. Not shorter still: each try costs a deadline."""
KEYS_MAX: Final = 200
"""Each held key costs a comparison for every message that is read. If there are more, the topic is held."""


class Place(NamedTuple):
    """What is held together: the messages of a topic with one key; without a key, one message."""

    topic: str
    key: bytes | None
    id: int

    @classmethod
    def of(cls, topic: str, key: bytes | None, message_id: int) -> "Place":
        """Return the place of a message."""
        return cls(topic, key, message_id if key is None else 0)


@dataclass(slots=True)
class _Wait:
    until: float
    pause_s: float


class HeldFilter(NamedTuple):
    """What must not be read: topics; keys with their topics (two parallel lists); ids of messages without a key."""

    topics: list[str]
    key_topics: list[str]
    keys: list[bytes]
    ids: list[int]

    def __bool__(self) -> bool:
        """Tell whether anything is held."""
        return bool(self.topics or self.keys or self.ids)


class HeldMessages:
    """Times are seconds of a monotonic clock. quarantined: places that wait for an operator, see quarantine.py."""

    def __init__(self) -> None:
        self.quarantined: set[Place] = set()
        self._topics: dict[str, _Wait] = {}
        self._places: dict[Place, _Wait] = {}

    def filter_at(self, now: float) -> HeldFilter:
        """Return what is held at this time; the rest may be tried again."""
        places = [place for place, hold in self._places.items() if hold.until > now] + list(self.quarantined)
        keyed = [(place.topic, place.key) for place in places if place.key is not None]
        return HeldFilter(
            [topic for topic, hold in self._topics.items() if hold.until > now],
            [topic for topic, _ in keyed],
            [key for _, key in keyed],
            [place.id for place in places if place.key is None],
        )

    def record(
        self, messages: Sequence[OutgoingMessage], published: Published, now: float
    ) -> list[tuple[OutgoingMessage, Refusal]]:
        """Hold what was refused, release what was sent. Return refusals to report: one a message, or one a topic."""
        if not (published.refused or self._topics or self._places):
            return []
        still = {m.topic for m in messages if (r := published.refused.get(m.id)) and r.scope is Scope.TOPIC}
        self._release(published.acknowledged, messages, still)
        blamed: list[tuple[OutgoingMessage, Refusal]] = []
        closed: set[str] = set()
        for message in messages:
            refusal = published.refused.get(message.id)
            if refusal is None or refusal.scope is Scope.BEHIND or message.topic in closed:
                continue
            place = Place.of(message.topic, message.key, message.id)
            if refusal.scope is Scope.TOPIC or (len(self._places) >= KEYS_MAX and place not in self._places):
                closed.add(message.topic)
                stalled = refusal.alarm == "topic_stalled"
                first, most = (STALLED_PAUSE_S, STALLED_PAUSE_MAX_S) if stalled else (PAUSE_S, PAUSE_MAX_S)
                self._topics[message.topic] = _longer(self._topics.get(message.topic), now, first, most)
            else:
                self._places[place] = _longer(self._places.get(place), now, PAUSE_S, PAUSE_MAX_S)
            blamed.append((message, refusal))
        return blamed

    def _release(
        self, acknowledged: Iterable[int], messages: Sequence[OutgoingMessage], still: Collection[str]
    ) -> None:
        """Release what was sent. still: topics that are refused again, though other partitions of them may accept."""
        gone = set(acknowledged) if self._topics or self._places else ()
        for message in messages:
            if message.id in gone:
                if message.topic not in still:
                    self._topics.pop(message.topic, None)
                self._places.pop(Place.of(message.topic, message.key, message.id), None)


def _longer(before: _Wait | None, now: float, first_s: float, most_s: float) -> _Wait:
    pause_s = first_s if before is None else min(2 * before.pause_s, most_s)
    return _Wait(now + pause_s, pause_s)

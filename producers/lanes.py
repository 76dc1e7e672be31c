"""One lane a partition with its messages in order, and the results: what became of each message."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.ports.publisher import OutgoingMessage, Published, Refusal, Scope
from producers.connection import BATCH_BYTES_MAX
from producers.refusals import Family, family_of, refusal_of

RECORD_BYTES_MAX: Final = 16_000_000
IN_A_ROW_MAX: Final = 3
"""After so many refused records, and none taken, the whole topic is refused."""
REFUSALS_MAX: Final = 60
"""The most refused batches of a lane in one call: each needs a new producer, and other topics wait meanwhile."""

Stamp = Callable[[], int] | None
"""Gives the time of a batch, in milliseconds since 1970. None: this machine's clock."""


@dataclass(slots=True)
class Lane:
    """One partition's messages, in order.

    records_max: the most records of a batch; it falls when the broker finds a batch too large.
    suspects: among so many messages at the front is one that the broker refuses; 0 if nothing is known.
    refusals: how many batches the broker has refused.
    """

    topic: str
    partition: int
    waiting: deque[OutgoingMessage] = field(default_factory=deque)
    records_max: int = BATCH_BYTES_MAX
    suspects: int = 0
    refusals: int = 0

    def fill(self, batch: Any, stamp: Stamp) -> list[OutgoingMessage]:
        """Move messages into a batch until it is full or none is left."""
        taken: list[OutgoingMessage] = []
        waiting, append = self.waiting, batch.append
        room = min(self.records_max, max(1, self.suspects // 2)) if self.suspects else self.records_max
        timestamp = None if stamp is None else stamp()
        while waiting and len(taken) < room:
            message = waiting[0]
            headers = list(message.headers)
            if append(timestamp=timestamp, key=message.key, value=message.value, headers=headers) is None:
                break
            taken.append(waiting.popleft())
        return taken

    def put_back(self, messages: Sequence[OutgoingMessage]) -> None:
        """Put these back at the front."""
        self.waiting.extendleft(reversed(messages))


@dataclass(slots=True)
class Results:
    """What became of the messages so far. closed: topics to which nothing more is sent, and why."""

    acknowledged: list[int] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    closed: dict[str, Refusal] = field(default_factory=dict)
    _refusals: Counter[str] = field(default_factory=Counter)
    _taking: set[str] = field(default_factory=set)

    def published(self) -> Published:
        """Return the results for the caller."""
        return Published(self.acknowledged, self.refused)

    def acknowledge(self, lane: Lane, messages: Sequence[OutgoingMessage]) -> None:
        """Note that all in-sync replicas have these."""
        self.acknowledged.extend([message.id for message in messages])
        self._taking.add(lane.topic)
        lane.suspects = max(0, lane.suspects - len(messages))

    def refuse(self, lane: Lane, messages: Sequence[OutgoingMessage], error: BaseException) -> None:
        """Note that the broker refused this batch. Refuse its topic or its only record, or look for the bad one."""
        lane.put_back(messages)
        lane.refusals += 1
        family = family_of(error)
        if family is Family.TOPIC:
            self.closed[lane.topic] = refusal_of(error, Scope.TOPIC)
        elif len(messages) == 1:
            self.refuse_first(lane, refusal_of(error, Scope.MESSAGE))
        elif family is Family.SIZE:
            # The limit may be on the batch. Smaller batches show whether one message alone is too large.
            lane.records_max = len(messages) // 2
        else:
            lane.suspects = len(messages)
        if lane.refusals >= REFUSALS_MAX:
            self._refuse_all(lane, list(lane.waiting), Refusal(f"behind {REFUSALS_MAX} refused batches", Scope.BEHIND))

    def refuse_first(self, lane: Lane, refusal: Refusal) -> None:
        """Refuse a lane's first message and those of the same key behind it, so that nothing overtakes it."""
        first = lane.waiting.popleft()
        self.refused[first.id] = refusal
        if first.key is not None:
            behind = Refusal(f"behind message {first.id} of the same key: {refusal.why}", Scope.BEHIND)
            self._refuse_all(lane, [m for m in lane.waiting if m.key == first.key], behind)
        topic = lane.topic
        self._refusals[topic] += 1
        # Until the topic takes a record, the next is tried alone. So we find out soonest that it refuses all.
        lane.suspects = 0 if topic in self._taking else 1
        if topic not in self._taking and self._refusals[topic] >= IN_A_ROW_MAX:
            self.closed[topic] = Refusal(f"nothing goes to the topic: {refusal.why}", Scope.TOPIC, refusal.alarm)

    def close_lanes(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Refuse what waits for closed topics. Return the lanes that still have something to send."""
        still_open = []
        for lane in lanes:
            if (refusal := self.closed.get(lane.topic)) is not None:
                self._refuse_all(lane, list(lane.waiting), refusal)
            if lane.waiting:
                still_open.append(lane)
        return still_open

    def refuse_rest(self, lanes: Iterable[Lane], why: str) -> None:
        """Refuse all that is not sent yet."""
        for lane in lanes:
            self._refuse_all(lane, list(lane.waiting), Refusal(why, Scope.BEHIND))

    def _refuse_all(self, lane: Lane, messages: Sequence[OutgoingMessage], refusal: Refusal) -> None:
        refused = {message.id for message in messages}
        self.refused |= dict.fromkeys(refused, refusal)
        lane.waiting = deque(message for message in lane.waiting if message.id not in refused)


def size_of(message: OutgoingMessage) -> int:
    """Return roughly how many bytes a message takes on the wire."""
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers

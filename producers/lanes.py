"""Messages on their way: one lane a partition, in order, and what became of each message."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.ports.publisher import OutgoingMessage, Published, Refusal, Scope
from producers.connection import BATCH_BYTES_MAX
from producers.refusals import Family, family_of, refusal_of

RECORD_BYTES_MAX: Final = 16_000_000
IN_A_ROW_MAX: Final = 3
"""So many records refused of a topic that took none: it is the topic."""
REFUSALS_MAX: Final = 60
"""So many refused batches of a lane in one call: each costs a new producer, and other topics wait meanwhile."""

Stamp = Callable[[], int] | None
"""Gives the time of a batch, in milliseconds since 1970. None: the client's own, this machine's clock."""


@dataclass(slots=True)
class Lane:
    """One partition's messages, in order.

    records_max falls when the broker finds a batch too large. suspects: so many at the front hold one that the broker
    refuses; 0 if nothing is known. refusals: so often the broker refused a batch.
    """

    topic: str
    partition: int
    waiting: deque[OutgoingMessage] = field(default_factory=deque)
    records_max: int = BATCH_BYTES_MAX
    suspects: int = 0
    refusals: int = 0

    def fill(self, batch: Any, stamp: Stamp) -> list[OutgoingMessage]:
        """Move messages into a batch until either is at its end."""
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
        """Have these first again."""
        self.waiting.extendleft(reversed(messages))

    def taken(self, count: int) -> None:
        """Note that the broker took so many from the front."""
        self.suspects = max(0, self.suspects - count)


@dataclass(slots=True)
class Ledger:
    """What became of the messages so far. closed: topics of which nothing more is sent, and why."""

    acknowledged: list[int] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    closed: dict[str, Refusal] = field(default_factory=dict)
    _blamed: Counter[str] = field(default_factory=Counter)
    _open: set[str] = field(default_factory=set)

    def published(self) -> Published:
        """Give the answer."""
        return Published(self.acknowledged, self.refused)

    def take(self, lane: Lane, messages: Sequence[OutgoingMessage]) -> None:
        """Note that all in-sync replicas have these."""
        self.acknowledged.extend([message.id for message in messages])
        self._open.add(lane.topic)
        lane.taken(len(messages))

    def refuse(self, lane: Lane, messages: Sequence[OutgoingMessage], error: BaseException) -> None:
        """Note that the broker refused this batch: look closer, or blame the record that was alone, or the topic."""
        lane.put_back(messages)
        lane.refusals += 1
        family = family_of(error)
        if family is Family.TOPIC:
            self.closed[lane.topic] = refusal_of(error, Scope.TOPIC)
        elif len(messages) == 1:
            self.blame(lane, refusal_of(error, Scope.MESSAGE))
        elif family is Family.SIZE:
            # The limit may be on the batch: smaller ones find the message that is too large by itself, if any.
            lane.records_max = len(messages) // 2
        else:
            lane.suspects = len(messages)
        if lane.refusals >= REFUSALS_MAX:
            self._hold(lane, list(lane.waiting), Refusal(f"behind {REFUSALS_MAX} refused batches", Scope.BEHIND))

    def blame(self, lane: Lane, refusal: Refusal) -> None:
        """Refuse a lane's first message, and hold those of its key, so that nothing overtakes it."""
        first = lane.waiting.popleft()
        self.refused[first.id] = refusal
        if first.key is not None:
            behind = Refusal(f"behind message {first.id} of the same key: {refusal.why}", Scope.BEHIND)
            self._hold(lane, [m for m in lane.waiting if m.key == first.key], behind)
        topic = lane.topic
        self._blamed[topic] += 1
        # Until the topic takes one, the next is tried alone: if all are refused, that shows it soonest.
        lane.suspects = 0 if topic in self._open else 1
        if topic not in self._open and self._blamed[topic] >= IN_A_ROW_MAX:
            self.closed[topic] = Refusal(f"nothing goes to the topic: {refusal.why}", Scope.TOPIC, refusal.alarm)

    def close_lanes(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Refuse what waits for closed topics. Return the lanes that have something to send."""
        going_on = []
        for lane in lanes:
            if (refusal := self.closed.get(lane.topic)) is not None:
                self._hold(lane, list(lane.waiting), refusal)
            if lane.waiting:
                going_on.append(lane)
        return going_on

    def stop(self, lanes: Iterable[Lane], why: str) -> None:
        """Send nothing more."""
        for lane in lanes:
            self._hold(lane, list(lane.waiting), Refusal(why, Scope.BEHIND))

    def _hold(self, lane: Lane, messages: Sequence[OutgoingMessage], refusal: Refusal) -> None:
        held = {message.id for message in messages}
        self.refused |= dict.fromkeys(held, refusal)
        lane.waiting = deque(message for message in lane.waiting if message.id not in held)


def size_of(message: OutgoingMessage) -> int:
    """Return roughly how many bytes a message takes on the wire."""
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers

"""Messages that are done, behind one that waits for a row: they come again with it, and must not be done again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from domain.ports.source import Message

AHEAD_MAX: Final = 20_000
"""Messages to remember. If there are more, all are forgotten: then the inbox finds that they are repetitions."""


class Ahead:
    """Remembers them for one consumer. A message counts as done only if all its parts are the same."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int], Message] = {}

    def __bool__(self) -> bool:
        """Whether any message is remembered."""
        return bool(self._done)

    def fresh(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return those that are not done yet."""
        if not self._done:
            return messages
        return [m for m in messages if self._done.get((m.partition, m.offset)) != m]

    def note(self, done: Sequence[Message], first: Mapping[int, int], waiting: Collection[tuple[int, int]]) -> None:
        """Remember what is done now. first: for each partition that stands still, the offset where it stands.

        waiting: partitions and offsets of messages that are not done. Partitions that go on are forgotten.
        """
        gone = {m.partition for m in done} - first.keys()
        self._done = {place: m for place, m in self._done.items() if place[0] not in gone}
        for m in done:
            place = (m.partition, m.offset)
            if m.offset > first.get(m.partition, m.offset) and place not in waiting:
                self._done[place] = m
        if len(self._done) > AHEAD_MAX:
            self._done.clear()

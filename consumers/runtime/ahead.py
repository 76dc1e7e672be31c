"""What is done behind a message that waits for a row: it comes again with it, and need not be done again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from domain.ports.source import Message

AHEAD_MAX: Final = 20_000
"""Messages that are kept in mind; beyond that all are forgotten, and the inbox knows them as repetitions."""


class Ahead:
    """Of one reader. A message counts as done only if it is the same in all its parts."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int], Message] = {}

    def __bool__(self) -> bool:
        """Whether anything is done ahead of its offset."""
        return bool(self._done)

    def fresh(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return those that are not done yet."""
        if not self._done:
            return messages
        return [m for m in messages if self._done.get((m.partition, m.offset)) != m]

    def note(self, done: Sequence[Message], first: Mapping[int, int], waiting: Collection[tuple[int, int]]) -> None:
        """Take down what is done now. first: of each partition that stands still, the offset before which it does.

        waiting: partitions and offsets of what is not done. A partition that goes on is forgotten.
        """
        gone = {m.partition for m in done} - first.keys()
        self._done = {place: m for place, m in self._done.items() if place[0] not in gone}
        for m in done:
            place = (m.partition, m.offset)
            if m.offset > first.get(m.partition, m.offset) and place not in waiting:
                self._done[place] = m
        if len(self._done) > AHEAD_MAX:
            self._done.clear()

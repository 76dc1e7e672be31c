"""Events in memory that are not in files yet: each once, by topic, partition and day."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Final, NamedTuple

from deploy.replay.columns import BODY_HASH, OFFSET, PARTITION, TIMESTAMP
from deploy.replay.decoding import Row, RowReader, check_timestamp, hash_of
from deploy.replay.folder import Folder, NewFile
from deploy.replay.formats import Format, Known, Singly, Stretch
from deploy.replay.manifest import ALL, Counts, Window
from deploy.replay.rejects import Rejects
from deploy.replay.topics import Message, Read
from schemas.rejection import Rejected

BYTES_MAX: Final = 12 << 20
"""Memory for events. There are two chunks: one is filled while the other is committed."""
EVENTS_MAX: Final = 40_000
"""Ids and hashes of so many events take 10 MB."""


class _Place(NamedTuple):
    """Events that will be one file."""

    event_type: str
    day: int
    partition: int


@dataclass(slots=True)
class _Held:
    """Data of a format, in order of their offsets."""

    first: int
    last: int
    pieces: list[Any] = field(default_factory=list)


class Chunk:
    """Collects messages until it is full or they end; then `commit` puts them into a folder."""

    def __init__(self, form: Format, reader: RowReader, window: Window) -> None:
        self._form = form
        self._reader = reader
        self._window = window
        self._held: dict[_Place, _Held] = {}
        self._ids: dict[tuple[str, int], dict[bytes, int]] = {}
        self._rejects = Rejects(reader)
        self._events: Counter[str] = Counter()
        self._repeated: Counter[str] = Counter()
        self._offsets: dict[tuple[str, str], dict[int, int]] = {}
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may."""
        return self._bytes + self._rejects.size >= BYTES_MAX or self._events.total() >= EVENTS_MAX

    def add(self, read: Read) -> None:
        """Take what was read from a partition, and leave out what is here already."""
        self._offsets.setdefault((read.event_type, read.topic_id), {})[read.partition] = read.next
        if read.lost is not None:
            self._rejects.lost(read, read.lost)
        messages = read.messages
        if self._window != ALL:
            messages = [message for message in messages if self._window.has(message.timestamp)]
        if not messages:
            return
        singly = Singly(partial(self._row, read), partial(self._rejects.unfit, read.event_type))
        stretch = self._form.read(read.event_type, read.partition, messages, singly)
        for day, places in self._new(read.event_type, stretch).items():
            data = stretch.data if len(places) == len(stretch.ids) else self._form.take(stretch.data, places)
            self._hold(_Place(read.event_type, day, read.partition), stretch, places, data)

    def commit(self, folder: Folder, known: Known) -> int:
        """Put everything into the folder, but for events that its files of the same day have. Return the files made.

        known: finds them. The chunk is of no use afterwards.
        """
        with folder.writing():
            for (event_type, day), ids in self._ids.items():
                found = known.find(event_type, day, folder.files(event_type, day), ids)
                if found:
                    self._leave_out(event_type, day, found)
        files = [
            NewFile(*place, held.first, held.last, self._writer(place.event_type, held.pieces))
            for place, held in sorted(self._held.items(), key=lambda item: item[0])
            if held.pieces
        ]
        state = folder.manifest
        for (event_type, topic_id), offsets in self._offsets.items():
            state = state.moved(event_type, topic_id, offsets, self._counts(event_type))
        folder.commit(files, self._rejects.lines, state)
        with folder.writing():
            for (event_type, day), ids in self._ids.items():
                known.add(event_type, day, ids)
        return len(files)

    def _row(self, read: Read, message: Message) -> Row | None:
        """Read a message by itself. Return None if it was rejected."""
        try:
            check_timestamp(message.timestamp)
            row = self._reader.read(read.event_type, message.value)
        except Rejected as rejected:
            self._rejects.body(read, message, rejected)
            return None
        assert message.value is not None, "a message without a body is rejected"
        row[PARTITION], row[OFFSET], row[TIMESTAMP] = read.partition, message.offset, message.timestamp * 1000
        row[BODY_HASH] = hash_of(message.value)
        return row

    def _new(self, event_type: str, stretch: Stretch) -> Mapping[int, Sequence[int]]:
        """Return by day the places of the events that are not here yet. Note their ids, count and reject the others."""
        by_day: dict[int, list[int]] = {}
        conflicts: list[int] = []
        day: int | None = None
        ids: dict[bytes, int] = {}
        places: list[int] = []
        for place, (event_id, hashed, at) in enumerate(zip(stretch.ids, stretch.hashes, stretch.days, strict=True)):
            if at != day:
                # Neighbours are mostly of one day.
                day, ids, places = at, self._ids.setdefault((event_type, at), {}), by_day.setdefault(at, [])
            if event_id not in ids:
                ids[event_id] = hashed
                places.append(place)
            elif ids[event_id] != hashed:
                conflicts.append(place)
        self._repeated[event_type] += len(stretch.ids) - sum(map(len, by_day.values())) - len(conflicts)
        if conflicts:
            for _, row in self._form.rows(self._form.take(stretch.data, conflicts)):
                self._rejects.conflict(event_type, row)
        return {at: of_day for at, of_day in by_day.items() if of_day}

    def _hold(self, place: _Place, stretch: Stretch, places: Sequence[int], data: Any) -> None:
        first, last = stretch.offsets[places[0]], stretch.offsets[places[-1]]
        held = self._held.setdefault(place, _Held(first, last))
        held.last = last
        held.pieces.append(data)
        self._bytes += self._form.size(data)
        self._events[place.event_type] += len(places)

    def _leave_out(self, event_type: str, day: int, found: Mapping[bytes, int]) -> None:
        """Leave out events that stand in files, and their ids. Those with other bytes are rejected."""
        for event_id in found:
            del self._ids[event_type, day][event_id]
        for place, held in self._held.items():
            if (place.event_type, place.day) != (event_type, day):
                continue
            kept = []
            for data in held.pieces:
                left, out = self._form.without(data, found)
                if len(left):
                    kept.append(left)
                if len(out):
                    rows = self._form.rows(out)
                    conflicts = [row for event_id, row in rows if row[BODY_HASH] != found[event_id]]
                    for row in conflicts:
                        self._rejects.conflict(event_type, row)
                    self._events[event_type] -= len(rows)
                    self._repeated[event_type] += len(rows) - len(conflicts)
            held.pieces = kept

    def _counts(self, event_type: str) -> Counts:
        return Counts(self._events[event_type], self._repeated[event_type], self._rejects.counts[event_type])

    def _writer(self, event_type: str, pieces: Sequence[Any]) -> Callable[[BinaryIO], object]:
        return lambda file: self._form.write(file, event_type, pieces)

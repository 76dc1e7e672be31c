"""Messages in memory that are not in files yet: decoded, each event once, by topic, partition and day."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, Final, NamedTuple

from deploy.replay.columns import BODY_HASH, EVENT_ID, OCCURRED_AT, OFFSET, PARTITION, TIMESTAMP
from deploy.replay.decoding import Row, RowReader
from deploy.replay.folder import Folder, NewFile
from deploy.replay.formats import Format, Unfit
from deploy.replay.json_lines import as_json
from deploy.replay.manifest import ALL, Counts, Window, iso
from deploy.replay.topics import Lost, Message, Read
from schemas.rejection import Reason, Rejected

BYTES_MAX: Final = 12 << 20
"""Memory for rows. There are two chunks: one is filled while the other is committed."""
ROWS_MAX: Final = 40_000
"""Ids and hashes of so many rows take 10 MB."""
DAY_US: Final = 86_400_000_000
SHOWN_BYTES_MAX: Final = 64 << 10
"""Of a longer body that is rejected, the beginning is shown."""
HASH_BYTES: Final = 8
"""Of the SHA-256 of a body: what tells other bytes under one event id."""
_number: Final = int.from_bytes
CONFLICT: Final = "conflict"
CONFLICT_DETAIL: Final = "An event of this id and day is here already, with other bytes."
UNREADABLE: Final = "unreadable"


class _Place(NamedTuple):
    """Rows that will be one file."""

    event_type: str
    day: int
    partition: int


@dataclass(slots=True)
class _Rows:
    """Batches of rows, in order of their offsets."""

    first: int
    last: int
    batches: list[Any] = field(default_factory=list)


class Chunk:
    """Collects messages until it is full or they end; then `commit` puts them into a folder."""

    def __init__(self, form: Format, reader: RowReader, window: Window) -> None:
        self._form = form
        self._reader = reader
        self._window = window
        self._rows: dict[_Place, _Rows] = {}
        self._ids: dict[tuple[str, int], dict[str, int]] = {}
        self._rejected: list[dict[str, Any]] = []
        self._counts: dict[str, Counts] = {}
        self._offsets: dict[tuple[str, str], dict[int, int]] = {}
        self._bytes = 0
        self._held = 0

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may."""
        return self._bytes >= BYTES_MAX or self._held >= ROWS_MAX

    def add(self, read: Read) -> None:
        """Take what was read from a partition, decode it, and leave out what is here already."""
        self._offsets.setdefault((read.event_type, read.topic_id), {})[read.partition] = read.next
        if read.lost is not None:
            self._reject_lost(read, read.lost)
        by_day: dict[int, list[Row]] = {}
        day: int | None = None
        ids: dict[str, int] = {}
        rows: list[Row] = []
        repeated = 0
        event_type, partition, decode = read.event_type, read.partition, self._reader.read
        wants = None if self._window == ALL else self._window.has
        for message in read.messages:
            value = message.value
            if wants is not None and not wants(message.timestamp):
                continue
            try:
                row = decode(event_type, value)
            except Rejected as rejected:
                self._reject_body(read, message, rejected)
                continue
            assert value is not None, "a message without a body is rejected"
            row[PARTITION], row[OFFSET], row[TIMESTAMP] = partition, message.offset, message.timestamp * 1000
            row[BODY_HASH] = hashed = _number(sha256(value).digest()[:HASH_BYTES], "big", signed=True)
            at = row[OCCURRED_AT] // DAY_US
            if at != day:
                # Neighbours are mostly of one day.
                day, ids, rows = at, self._ids.setdefault((event_type, at), {}), by_day.setdefault(at, [])
            event_id = row[EVENT_ID]
            if event_id not in ids:
                ids[event_id] = hashed
                rows.append(row)
            elif ids[event_id] == hashed:
                repeated += 1
            else:
                self._reject_row(event_type, row, CONFLICT, CONFLICT_DETAIL)
        self._count(event_type, repeated=repeated)
        for of_day, held in by_day.items():
            if held:
                self._hold(_Place(event_type, of_day, partition), held)

    def commit(self, folder: Folder) -> int:
        """Put everything into the folder, but for events that its files of the same day have. Return the files made.

        The chunk is of no use afterwards.
        """
        for (event_type, day), ids in self._ids.items():
            paths = folder.files(event_type, day)
            found = self._form.find(paths, ids) if paths and ids else {}
            if found:
                self._leave_out(event_type, day, found)
        files = []
        for place, rows in sorted(self._rows.items()):
            if rows.batches:
                files.append(NewFile(*place, rows.first, rows.last, self._writer(place.event_type, rows.batches)))
        state = folder.manifest
        for (event_type, topic_id), offsets in self._offsets.items():
            state = state.moved(event_type, topic_id, offsets, self._counts.get(event_type, Counts()))
        folder.commit(files, self._rejected, state)
        return len(files)

    def _writer(self, event_type: str, batches: Sequence[Any]) -> Callable[[BinaryIO], object]:
        return lambda file: self._form.write(file, event_type, batches)

    def _hold(self, place: _Place, rows: Sequence[Row]) -> None:
        """Turn rows into a batch. If that fails, find the rows that do not fit."""
        try:
            batch, size = self._form.batch(place.event_type, rows)
        except Unfit:
            if len(rows) > 1:
                for row in rows:
                    self._hold(place, [row])
            else:
                detail = "A value does not fit its column."
                self._reject_row(place.event_type, rows[0], Reason.INVALID_FIELD.value, detail)
            return
        held = self._rows.setdefault(place, _Rows(rows[0][OFFSET], rows[0][OFFSET]))
        held.last = rows[-1][OFFSET]
        held.batches.append(batch)
        self._bytes += size
        self._held += len(rows)
        self._count(place.event_type, events=len(rows))

    def _leave_out(self, event_type: str, day: int, found: Mapping[str, int]) -> None:
        """Leave out events that stand in files. Those with other bytes are rejected."""
        ids = frozenset(found)
        for place, rows in self._rows.items():
            if (place.event_type, place.day) != (event_type, day):
                continue
            kept = []
            for batch in rows.batches:
                left, out = self._form.without(batch, ids)
                conflicts = [row for row in out if row[BODY_HASH] != found[row[EVENT_ID]]]
                for row in conflicts:
                    self._reject_row(event_type, row, CONFLICT, CONFLICT_DETAIL)
                self._count(event_type, events=-len(out), repeated=len(out) - len(conflicts))
                if len(left):
                    kept.append(left)
            rows.batches = kept

    def _count(self, event_type: str, *, events: int = 0, repeated: int = 0, rejected: int = 0) -> None:
        self._counts[event_type] = self._counts.get(event_type, Counts()) + Counts(events, repeated, rejected)

    def _reject(self, event_type: str, line: dict[str, Any]) -> None:
        self._rejected.append({"topic": event_type, **line})
        self._bytes += sum(len(text) for text in line.values() if isinstance(text, str)) + 500
        self._count(event_type, rejected=1)

    def _reject_row(self, event_type: str, row: Row, reason: str, detail: str) -> None:
        place = {"partition": row[PARTITION], "offset": row[OFFSET]}
        self._reject(event_type, {**place, "reason": reason, "detail": detail, "event": as_json(event_type, row)})

    def _reject_lost(self, read: Read, lost: Lost) -> None:
        place = {"partition": read.partition, "offset": lost.first, "to_offset": lost.last}
        self._reject(read.event_type, {**place, "reason": UNREADABLE, "detail": lost.cause})

    def _reject_body(self, read: Read, message: Message, rejected: Rejected) -> None:
        value = message.value
        line = {
            "partition": read.partition,
            "offset": message.offset,
            "timestamp": iso(message.timestamp),
            "key": None if message.key is None else message.key.decode("utf-8", "backslashreplace"),
            "reason": rejected.reason.value,
            "detail": rejected.detail,
        }
        if value is not None:
            shown = self._reader.shown(read.event_type, value)
            line |= {
                "value_bytes": len(value),
                "value_sha256": sha256(value).hexdigest(),
                "value_base64": base64.b64encode(shown[:SHOWN_BYTES_MAX]).decode(),
            }
        self._reject(read.event_type, line)

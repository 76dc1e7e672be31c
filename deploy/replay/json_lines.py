"""JSON lines: one event a line, times as ISO 8601 in UTC with microseconds."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from deploy.replay.columns import BODY_HASH, COLUMNS, EVENT_ID, OCCURRED_AT, OFFSET, Kind
from deploy.replay.decoding import Row
from deploy.replay.formats import DAY_US, Singly, Stretch
from deploy.replay.topics import Message

_BEGIN: Final = len(f'{{"{EVENT_ID}":"')
_END: Final = _BEGIN + 36
"""Where the event id stands in every line: it is the first column, and of fixed length."""
_LINE_BYTES: Final = 40
"""Of memory, beside its text."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES: Final = {t: tuple(c.name for c in of) for t, of in COLUMNS.items()}
_MOMENTS: Final = {t: tuple(c.name for c in of if c.kind is Kind.MOMENT) for t, of in COLUMNS.items()}


class JsonLines:
    """deploy.replay.formats.Format, and its Known. Data are a list of lines, ids are the bytes of their text."""

    suffix = "jsonl"

    def read(self, event_type: str, partition: int, messages: Sequence[Message], singly: Singly) -> Stretch:  # noqa: ARG002 - Format's
        """As Format.read."""
        # No rows are kept: those of many short lines take eighty times as much memory as their bodies.
        lines: list[bytes] = []
        facts: list[tuple[int, int, int]] = []
        for message in messages:
            row = singly.row(message)
            if row is None:
                continue
            try:
                lines.append(orjson.dumps(as_json(event_type, row)))
            except orjson.JSONEncodeError:
                singly.unfit(row)
                continue
            facts.append((row[OFFSET], row[BODY_HASH], row[OCCURRED_AT] // DAY_US))
        offsets, hashes, days = (list(column) for column in zip(*facts, strict=True)) if facts else ([], [], [])
        return Stretch(lines, offsets, [line[_BEGIN:_END] for line in lines], hashes, days)

    def take(self, data: list[bytes], places: Sequence[int]) -> list[bytes]:
        """As Format.take."""
        return [data[place] for place in places]

    def without(self, data: list[bytes], ids: Collection[bytes]) -> tuple[list[bytes], list[bytes]]:
        """As Format.without."""
        kept = [line for line in data if line[_BEGIN:_END] not in ids]
        return kept, [line for line in data if line[_BEGIN:_END] in ids]

    def rows(self, data: list[bytes]) -> list[tuple[bytes, Row]]:
        """As Format.rows."""
        return [(line[_BEGIN:_END], orjson.loads(line)) for line in data]

    def size(self, data: list[bytes]) -> int:
        """As Format.size."""
        return sum(map(len, data)) + _LINE_BYTES * len(data)

    def write(self, file: BinaryIO, event_type: str, pieces: Sequence[list[bytes]]) -> int:  # noqa: ARG002 - Format's
        """As Format.write."""
        for lines in pieces:
            if lines:
                file.write(b"\n".join(lines) + b"\n")
        return sum(map(len, pieces))

    def known(self, scratch: Path) -> "JsonLines":  # noqa: ARG002 - Format's
        """As Format.known."""
        return self

    def find(self, event_type: str, day: int, paths: Sequence[Path], ids: Mapping[bytes, int]) -> Mapping[bytes, int]:  # noqa: ARG002 - Known's
        """As Known.find. Every line of the day is looked at; only those that are found are parsed."""
        found: dict[bytes, int] = {}
        for path in paths:
            with path.open("rb") as file:
                for line in file:
                    if line[_BEGIN:_END] in ids:
                        row: dict[str, Any] = orjson.loads(line)
                        found[line[_BEGIN:_END]] = row[BODY_HASH]
        return found

    def add(self, event_type: str, day: int, ids: Mapping[bytes, int]) -> None:
        """As Known.add. There is nothing to note: the files are read each time."""

    def close(self) -> None:
        """As Known.close."""


def as_json(event_type: str, row: Row) -> Row:
    """Return a row in the order of its columns, times as text. Times may be datetimes, or text already."""
    shown = {name: row[name] for name in _NAMES[event_type]}
    for name in _MOMENTS[event_type]:
        at = shown[name]
        if isinstance(at, datetime):
            at = (at - _EPOCH) // timedelta(microseconds=1)
        if isinstance(at, int):
            shown[name] = _iso(at)
    return shown


@lru_cache(maxsize=4096)
def _iso(microseconds: int) -> str:
    """Format a moment. Events of one transaction have the same one."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")

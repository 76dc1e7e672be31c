"""JSON lines: one event a line, times as ISO 8601 in UTC with microseconds."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from deploy.replay.columns import BODY_HASH, COLUMNS, EVENT_ID, Kind
from deploy.replay.decoding import Row
from deploy.replay.formats import Unfit

_BEGIN: Final = len(f'{{"{EVENT_ID}":"')
_END: Final = _BEGIN + 36
"""Where the event id stands in every line: it is the first column, and of fixed length."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES: Final = {t: tuple(c.name for c in of) for t, of in COLUMNS.items()}
_MOMENTS: Final = {t: tuple(c.name for c in of if c.kind is Kind.MOMENT) for t, of in COLUMNS.items()}


class JsonLines:
    """deploy.replay.formats.Format. A batch is a list of lines."""

    suffix = "jsonl"

    def batch(self, event_type: str, rows: Sequence[Row]) -> tuple[list[bytes], int]:
        """As Format.batch."""
        try:
            lines = [orjson.dumps(as_json(event_type, row)) for row in rows]
        except orjson.JSONEncodeError as error:
            raise Unfit(str(error)) from error
        return lines, sum(map(len, lines)) + 40 * len(lines)

    def without(self, batch: list[bytes], ids: frozenset[str]) -> tuple[list[bytes], list[Row]]:
        """As Format.without."""
        kept = [line for line in batch if line[_BEGIN:_END].decode() not in ids]
        out = [orjson.loads(line) for line in batch if line[_BEGIN:_END].decode() in ids]
        return kept, out

    def write(self, file: BinaryIO, event_type: str, batches: Sequence[list[bytes]]) -> int:  # noqa: ARG002 - Format's
        """As Format.write."""
        for batch in batches:
            if batch:
                file.write(b"\n".join(batch) + b"\n")
        return sum(map(len, batches))

    def find(self, paths: Sequence[Path], ids: Mapping[str, object]) -> dict[str, int]:
        """As Format.find. Only lines that are found are parsed."""
        wanted = {event_id.encode() for event_id in ids}
        found: dict[str, int] = {}
        for path in paths:
            with path.open("rb") as file:
                for line in file:
                    if line[_BEGIN:_END] in wanted:
                        row: dict[str, Any] = orjson.loads(line)
                        found[row[EVENT_ID]] = row[BODY_HASH]
        return found


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

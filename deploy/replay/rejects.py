"""Messages that are no events of the files: the lines of rejected.jsonl, and how many there are."""

import base64
from collections import Counter
from hashlib import sha256
from typing import Any, Final

from deploy.replay.columns import OFFSET, PARTITION
from deploy.replay.decoding import Row, RowReader
from deploy.replay.json_lines import as_json
from deploy.replay.manifest import iso
from deploy.replay.topics import Lost, Message, Read
from schemas.rejection import Reason, Rejected

SHOWN_BYTES_MAX: Final = 64 << 10
"""Of a longer body that is rejected, the beginning is shown."""
UNREADABLE: Final = "unreadable"
_LINE_BYTES: Final = 500
"""Of memory, beside its texts."""


def _shown(timestamp_ms: int) -> str | None:
    """Format a message's timestamp. None: no calendar has it; the detail says the number."""
    try:
        return iso(timestamp_ms)
    except OverflowError:
        return None


class Rejects:
    """Lines that will stand in rejected.jsonl. size: bytes of memory. counts: by event type."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self.lines: list[dict[str, Any]] = []
        self.size = 0
        self.counts: Counter[str] = Counter()

    def body(self, read: Read, message: Message, rejected: Rejected) -> None:
        """Reject a message whose body is no event."""
        value = message.value
        line = {
            "partition": read.partition,
            "offset": message.offset,
            "timestamp": _shown(message.timestamp),
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
        self._add(read.event_type, line)

    def conflict(self, event_type: str, row: Row) -> None:
        """Reject an event whose id stands in the files with other bytes."""
        self._row(event_type, row, "conflict", "An event of this id and day is here already, with other bytes.")

    def unfit(self, event_type: str, row: Row) -> None:
        """Reject an event that the files cannot hold."""
        self._row(event_type, row, Reason.INVALID_FIELD.value, "A value does not fit its column.")

    def lost(self, read: Read, lost: Lost) -> None:
        """Note a stretch that cannot be read."""
        place = {"partition": read.partition, "offset": lost.first, "to_offset": lost.last}
        self._add(read.event_type, {**place, "reason": UNREADABLE, "detail": lost.cause})

    def _row(self, event_type: str, row: Row, reason: str, detail: str) -> None:
        place = {"partition": row[PARTITION], "offset": row[OFFSET]}
        self._add(event_type, {**place, "reason": reason, "detail": detail, "event": as_json(event_type, row)})

    def _add(self, event_type: str, line: dict[str, Any]) -> None:
        self.lines.append({"topic": event_type, **line})
        self.size += sum(len(text) for text in line.values() if isinstance(text, str)) + _LINE_BYTES
        self.counts[event_type] += 1

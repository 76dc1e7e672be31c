"""Reads a message as a row of columns: quickly, and without the checks that a consumer makes.

An event that consumers refuse (a wrong total, a card number) is a fact of its topic, and a row here. `<topic>.dlt` says
why it was refused. What is no event at all is rejected.
"""

import re
from hashlib import sha256
from typing import Any, Final

from deploy.replay.columns import COLUMNS, OF_KAFKA, Kind
from schemas.bodies import read_body, resolve_body
from schemas.cards import mask
from schemas.fields import HIDDEN
from schemas.framing import HEADS, FrameReader
from schemas.hiding import METHOD, SECRETS, WITH_TOKEN, hide
from schemas.rejection import Reason, Rejected
from schemas.shapes import SHAPES
from schemas.versions import OURS, Writer

Row = dict[str, Any]
"""By column name: text, int, bool, None; a moment is microseconds since 1970; dicts, and lists of dicts."""

HEAD_BYTES: Final = 10
_number: Final = int.from_bytes
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
YEAR_1_US: Final = -62_135_596_800_000_000
YEAR_10000_US: Final = 253_402_300_800_000_000
"""No reader's calendar goes further."""
_MOMENTS: Final = {
    t: tuple(c.name for c in of if c.kind is Kind.MOMENT and c not in OF_KAFKA) for t, of in COLUMNS.items()
}
_UUIDS: Final = {t: tuple(c.name for c in of if c.uuid) for t, of in COLUMNS.items()}


class RowReader:
    """Reads the bodies of one deployment. frames: takes the framing off, and knows the schemas."""

    def __init__(self, frames: FrameReader) -> None:
        self._open = frames.open

    def read(self, event_type: str, value: bytes | None) -> Row:
        """Return the event's own columns. The payment token and the gateway's id of the customer are hidden.

        UUIDs are in lower case. A column that the schema of the message does not have is None. The body must be the
        canonical encoding, as for consumers: fastavro reads an index of -1 as the last branch, and a longer number than
        64 bits as another one. Raises Rejected, or RegistryUnavailable when trying again may help.
        """
        if value is not None and value.startswith(HEADS[event_type]):
            # Nearly all messages: what the frame reader would say, without asking it.
            writer, body = OURS[event_type], value[HEAD_BYTES:]
        else:
            writer, body = self._open(event_type, value)
        row: Row = read_body(writer, body)
        if writer.resolve:
            row = _as_ours(event_type, writer, body)
        _check(event_type, row)
        if event_type in WITH_TOKEN and row[METHOD] is not None:
            _hide(row[METHOD])
        return row

    def shown(self, event_type: str, value: bytes) -> bytes:
        """Return a body that was rejected as others may see it: without payment tokens and card numbers."""
        return mask(hide(self._open, event_type, value).body or b"")[0]


def check_timestamp(milliseconds: int) -> None:
    """Raise Rejected for a message's own timestamp that files cannot hold: some producers give microseconds."""
    if not YEAR_1_US <= milliseconds * 1000 < YEAR_10000_US:
        raise Rejected(
            Reason.INVALID_FIELD,
            f"The message's timestamp is {milliseconds} ms since 1970, outside the years 1 to 9999.",
        )


def hash_of(value: bytes) -> int:
    """Return the first eight bytes of a message's SHA-256, signed: what tells other bytes under one event id."""
    return _number(sha256(value).digest()[:8], "big", signed=True)


def _check(event_type: str, row: Row) -> None:
    """Raise Rejected for times and ids that files cannot hold. Write UUIDs in lower case."""
    for name in _MOMENTS[event_type]:
        at = row[name]
        if at is not None and not YEAR_1_US <= at < YEAR_10000_US:
            raise Rejected(Reason.INVALID_FIELD, f"{name}: the time is outside the years 1 to 9999.")
    for name in _UUIDS[event_type]:
        text = row[name]
        if text is not None and not _UUID(text):
            row[name] = text.lower()
            if not _UUID(row[name]):
                raise Rejected(Reason.INVALID_FIELD, f"{name}: not a UUID of 36 characters.")


def _hide(method: Row) -> None:
    for name in SECRETS:
        if method[name] is not None:
            method[name] = HIDDEN


def _as_ours(event_type: str, writer: Writer, body: bytes) -> Row:
    """Read a body of another version. A field that it did not have is None, not the default of today's schema."""
    row = resolve_body(writer.wire, SHAPES[event_type].wire, body)
    _clear(row, SHAPES[event_type].wire, writer.wire)
    return row


def _clear(value: Any, ours: Any, theirs: Any) -> None:
    """Set to None what their schema does not have, also inside records and lists."""
    if value is None:
        return
    ours, theirs = _inside(ours), _inside(theirs)
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return
    if isinstance(value, list):
        for item in value:
            _clear(item, ours["items"], theirs["items"])
    elif isinstance(value, dict):
        known = {field["name"]: field["type"] for field in theirs["fields"]}
        for field in ours["fields"]:
            name = field["name"]
            if name in known:
                _clear(value[name], field["type"], known[name])
            else:
                value[name] = None


def _inside(schema: Any) -> Any:
    """Return what stands beside null in a union; any other schema as it is."""
    return next((branch for branch in schema if branch != "null"), None) if isinstance(schema, list) else schema

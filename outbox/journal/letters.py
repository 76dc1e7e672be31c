"""The copy of a dead letter that goes to `<topic>.dlt`, small enough for any topic. Table `dead_letter` keeps it whole.

A part that is cut comes with its length and SHA-256, so that the copy can be compared with the whole.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

BODY_BYTES_MAX: Final = 65_536
HEADERS_BYTES_MAX: Final = 32_768
KEY_BYTES_MAX: Final = 4_096
OWN_BYTES_MAX: Final = 4_096
HEADER_COST: Final = 8
"""Bytes around a header on the wire, at most. They count, so that empty headers are bounded too."""
COPY_BYTES_MAX: Final = 120_000
"""A copy that is cut to these bounds is never larger. A topic takes a megabyte by default."""
FIRST_OF_OURS: Final = "kafka_dlt-original-topic"

Header = tuple[str, bytes | None]


class LetterCopy(NamedTuple):
    """What is sent. headers: the original's first, then ours."""

    key: bytes | None
    body: bytes | None
    headers: list[Header]


def cut_copy(
    key: bytes | None,
    body: bytes | None,
    original: Sequence[Header],
    ours: Sequence[Header],
    *,
    left_out: bytes | None = None,
) -> LetterCopy:
    """Cut body, key and the original's headers to their bounds. A header that does not fit is left out.

    left_out: the whole body, if none of it may be shown: it may hold a payment token.
    """
    body, notes = _cut("payments", body, BODY_BYTES_MAX)
    if left_out is not None:
        notes = _notes("payments", left_out)
    key, key_notes = _cut("payments_key", key, KEY_BYTES_MAX)
    notes += key_notes
    kept = _fitting(original)
    if len(kept) < len(original):
        notes.append(("payments_headers_left_out", str(len(original) - len(kept)).encode()))
        notes += _notes("payments_headers", b"".join(_plain(header) for header in original))
    short = [(name, value and value[:OWN_BYTES_MAX]) for name, value in ours]
    return LetterCopy(key, body, [*kept, *short, *notes])


def recut_copy(key: bytes | None, body: bytes | None, headers: Sequence[Header]) -> LetterCopy:
    """Cut a copy that an older release wrote into the journal: headers had no bound then."""
    if _size(key, body, headers) <= COPY_BYTES_MAX:
        return LetterCopy(key, body, list(headers))
    # The original may be a dead letter itself, so ours begin at the last such header.
    ours = max((place for place, (name, _) in enumerate(headers) if name == FIRST_OF_OURS), default=len(headers))
    return cut_copy(key, body, headers[:ours], headers[ours:])


def _cut(prefix: str, whole: bytes | None, most: int) -> tuple[bytes | None, list[Header]]:
    return (whole, []) if whole is None or len(whole) <= most else (whole[:most], _notes(prefix, whole))


def _fitting(headers: Sequence[Header]) -> list[Header]:
    room = HEADERS_BYTES_MAX
    kept = []
    for header in headers:
        if (cost := _cost(header)) <= room:
            room -= cost
            kept.append(header)
    return kept


def _size(key: bytes | None, body: bytes | None, headers: Sequence[Header]) -> int:
    return len(key or b"") + len(body or b"") + sum(map(_cost, headers))


def _cost(header: Header) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"") + HEADER_COST


def _plain(header: Header) -> bytes:
    """Write name and value, each behind its length, so that two different lists of headers never look the same."""
    name, value = header[0].encode(), header[1]
    return b"%d:%s%d:%s" % (len(name), name, -1 if value is None else len(value), value or b"")


def _notes(prefix: str, whole: bytes) -> list[Header]:
    length, digest = str(len(whole)).encode(), hashlib.sha256(whole).hexdigest().encode()
    return [(f"{prefix}_length", length), (f"{prefix}_sha256", digest)]

"""Fits parts of a dead letter to what PostgreSQL and headers can hold: a letter is always kept.

Kafka checks almost nothing: a time-stamp is any 64 bits, a header's name may have NUL, a header may have no value.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from domain.dead_letter import DeadLetter
from schemas.texts import storable

DETAIL_LENGTH_MAX: Final = 4_000
TIMESTAMP: Final = "payments_timestamp_ms"
"""The header for a time-stamp that the column cannot hold."""
# One day inside Python's calendar, so that the time can be read again in every time zone.
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MILLISECOND
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MILLISECOND


def storable_time(timestamp_ms: int) -> datetime:
    """Return the time of a message's time-stamp, or the nearest end of the calendar."""
    return _EPOCH + timedelta(milliseconds=min(max(timestamp_ms, _EARLIEST_MS), _LATEST_MS))


def storable_text(detail: str) -> str:
    """Return a detail as the database and a header can hold it."""
    return storable(detail[:DETAIL_LENGTH_MAX])


def signed_bytes(number: int, size: int) -> bytes:
    """Write a number in `size` bytes, big-endian, signed. If it does not fit, write the nearest number that does."""
    most = (1 << (8 * size - 1)) - 1
    return min(max(number, -most - 1), most).to_bytes(size, "big", signed=True)


def original_headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Return the message's headers. Characters of names that PostgreSQL cannot store become U+FFFD.

    A time-stamp that the column cannot hold follows as a header, as text.
    """
    headers: list[tuple[str, bytes | None]] = [(storable(name), value) for name, value in letter.headers]
    if not _EARLIEST_MS <= letter.timestamp_ms <= _LATEST_MS:
        headers.append((TIMESTAMP, str(letter.timestamp_ms).encode()))
    return headers

"""What of a dead letter PostgreSQL and a header cannot hold, brought to what they can: a letter is always kept.

Kafka checks next to nothing of what others send: time-stamps are any 64 bits, a header's name may hold NUL, a header
may have no value.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from domain.ports.store import DeadLetter
from schemas.texts import storable

DETAIL_LENGTH_MAX: Final = 4_000
TIMESTAMP: Final = "payments_timestamp_ms"
"""The header that keeps a time-stamp which the column cannot hold."""
# A day from either end of Python's calendar: in any time zone the moment can be read again.
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MILLISECOND
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MILLISECOND


def moment(timestamp_ms: int) -> datetime:
    """Return the moment of a message's time-stamp, or the end of the calendar that is nearest to it."""
    return _EPOCH + timedelta(milliseconds=min(max(timestamp_ms, _EARLIEST_MS), _LATEST_MS))


def words(detail: str) -> str:
    """Return what is wrong with a message as a database and a header can hold it."""
    return storable(detail[:DETAIL_LENGTH_MAX])


def signed(number: int, size: int) -> bytes:
    """Write a number in so many bytes, big-endian, with its sign; one that does not fit as the nearest that does."""
    most = (1 << (8 * size - 1)) - 1
    return min(max(number, -most - 1), most).to_bytes(size, "big", signed=True)


def original_headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Return the headers as the message had them, names with U+FFFD for what no database stores.

    A time-stamp that the column cannot hold follows them as text: in nanoseconds it still tells what it was.
    """
    headers: list[tuple[str, bytes | None]] = [(storable(name), value) for name, value in letter.headers]
    if not _EARLIEST_MS <= letter.timestamp_ms <= _LATEST_MS:
        headers.append((TIMESTAMP, str(letter.timestamp_ms).encode()))
    return headers

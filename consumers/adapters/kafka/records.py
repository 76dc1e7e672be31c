"""Reads record batches from a partition's bytes, from one offset on, up to the first fault, which it names.

aiokafka reads faster. But it drops a whole batch for one bad header, hides which batch it was, and does not notice a
batch with wrong offsets. The format: Kafka's protocol guide, "Record Batch" (message format 2).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiokafka.record.util import calc_crc32c

from consumers.adapters.kafka.unpacking import UNPACK

HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""First offset, length, epoch, message format, checksum, attributes, last offset's delta, first and last time-stamp,
producer's id, epoch and sequence, number of records."""
LENGTH_FROM: Final = 12
"""The length counts the bytes from here on."""
CHECKED_FROM: Final = 21
"""The checksum covers the bytes from here on."""
FORMAT: Final = 2
CODEC, LOG_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20
ABORT: Final = b"\0\0\0\0"
"""Version and type of the marker of an aborted transaction."""


class Record(NamedTuple):
    """One record. headers: None if a header's name cannot be read."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] | None


class Fault(NamedTuple):
    """Where reading ends, and why. last: the last offset that cannot be read; None: not known here."""

    first: int
    last: int | None
    cause: str


@dataclass(slots=True)
class Contents:
    """The records from an offset on. next: the offset to go on with."""

    next: int
    records: list[Record] = field(default_factory=list)
    fault: Fault | None = None


class _Head(NamedTuple):
    """A batch's head. start, end: where the batch lies in the bytes. base, last: its first and last offset."""

    start: int
    end: int
    base: int
    last: int
    magic: int
    checksum: int
    attributes: int
    first_ms: int
    last_ms: int
    producer: int
    records: int


def read_contents(
    raw: bytes, offset: int, end: int, aborted: Sequence[tuple[int, int]], limit: int, *, whole: bool = False
) -> Contents:
    """Read what a broker sent for this offset: at most `limit` records, up to the first fault.

    end: the offset behind the partition's last message. aborted: producer and first offset of aborted transactions.
    whole: the broker sent all that it has; then a batch that is cut off is a fault.
    """
    contents = Contents(offset)
    transactions = _Transactions(aborted)
    at = 0
    while at < len(raw) and len(contents.records) < limit and contents.fault is None:
        head = _head(raw, at)
        if head is None:
            if at == 0 or whole:
                contents.fault = Fault(contents.next, None, "a batch's length is wrong")
            break
        at = head.end
        sound = _is_sound(raw, head)
        if _lies_before(raw, head, contents.next, sound=sound):
            continue
        cause = _name_fault(raw, head, contents.next, end, sound=sound)
        if cause is not None:
            contents.fault = Fault(contents.next, _last_bad(raw, head, contents.next, end), cause)
        elif transactions.skip(raw, head):
            contents.next = head.last + 1
        else:
            _read_batch(raw, head, contents, limit)
    return contents


def _read_batch(raw: bytes, head: "_Head", contents: Contents, limit: int) -> None:
    """Add the batch's records, from the contents' next offset on."""
    try:
        for record in _records(raw, head):
            if record.offset < contents.next:
                continue
            if len(contents.records) >= limit:
                return
            contents.records.append(record)
            contents.next = record.offset + 1
    except Exception as error:  # noqa: BLE001 - codecs' errors share no base class, and all mean the same here
        contents.fault = Fault(contents.next, head.last, _cause(head, error))
    else:
        contents.next = head.last + 1


class _Transactions:
    """The producers whose transactions are aborted, from one batch to the next."""

    def __init__(self, aborted: Sequence[tuple[int, int]]) -> None:
        self._ahead = sorted(aborted, key=lambda transaction: transaction[1])
        self._producers: set[int] = set()

    def skip(self, raw: bytes, head: "_Head") -> bool:
        """Whether readers skip this batch: it is a marker, or part of an aborted transaction."""
        while self._ahead and self._ahead[0][1] <= head.base:
            self._producers.add(self._ahead.pop(0)[0])
        if head.attributes & CONTROL:
            if _aborts(raw, head):
                self._producers.discard(head.producer)
            return True
        return bool(head.attributes & TRANSACTIONAL) and head.producer in self._producers


def first_batch(raw: bytes) -> tuple[int, int] | None:
    """Return first and last offset of the first batch, if its checksum is right."""
    head = _head(raw, 0)
    return (head.base, head.last) if head is not None and _is_sound(raw, head) else None


def find_good(raw: bytes, first: int, end: int) -> tuple[int | None, int | None]:
    """Go over bad batches by their lengths. Return the first offset of the first good one, None if there is none.

    The second value: if the bytes end exactly with a batch, the last offset in that batch's head.
    """
    at, claimed = 0, None
    while (head := _head(raw, at)) is not None:
        at, claimed = head.end, head.last
        if head.base > first and _name_fault(raw, head, first + 1, end, sound=_is_sound(raw, head)) is None:
            return head.base, None
    return None, claimed if at == len(raw) else None


def _head(raw: bytes, at: int) -> _Head | None:
    """Return the head of the batch here; None if the bytes do not hold the whole batch."""
    if at + HEAD.size > len(raw):
        return None
    base, length, _, magic, checksum, attributes, delta, first_ms, last_ms, producer, _, _, count = HEAD.unpack_from(
        raw, at
    )
    end = at + LENGTH_FROM + length
    if length < HEAD.size - LENGTH_FROM or end > len(raw):
        return None
    return _Head(at, end, base, base + delta, magic, checksum, attributes, first_ms, last_ms, producer, count)


def _is_sound(raw: bytes, head: _Head) -> bool:
    """Whether format and checksum are right."""
    checked = raw[head.start + CHECKED_FROM : head.end]
    return head.magic == FORMAT and int(calc_crc32c(checked)) == head.checksum


def _lies_before(raw: bytes, head: _Head, offset: int, *, sound: bool) -> bool:
    """Whether the batch ends before our offset. A broker may begin with such a batch, and it may be bad."""
    if sound and head.base <= head.last < offset:
        return head.start == 0
    if sound and head.base <= offset <= head.last:
        return False
    after = _head(raw, head.end)
    return after is not None and after.base <= offset <= after.last and _is_sound(raw, after)


def _name_fault(raw: bytes, head: _Head, offset: int, end: int, *, sound: bool) -> str | None:
    """Return what is wrong with the whole batch, None if nothing is. No checksum covers its first offset."""
    if head.magic != FORMAT:
        return f"a batch's message format is {head.magic}, and this release reads {FORMAT} only"
    if not sound:
        return "a batch's checksum is wrong: it was changed on disk or on its way"
    overlaps = head.base < offset and head.start > 0
    after = _head(raw, head.end) if head.base > offset else None
    overtakes = after is not None and after.base < head.base and _is_sound(raw, after)
    if overlaps or overtakes or not offset <= head.last < end or head.last < head.base:
        return "a batch's offsets do not fit between its neighbours'"
    return None


def _last_bad(raw: bytes, head: _Head, offset: int, end: int) -> int | None:
    """Return the last offset of a bad batch: the one before the next good batch, or before the partition's end."""
    if head.end == len(raw) and head.last == end - 1:
        return head.last
    after = _head(raw, head.end)
    return after.base - 1 if after is not None and after.base > offset and _is_sound(raw, after) else None


def _aborts(raw: bytes, head: _Head) -> bool:
    try:
        return any(record.key == ABORT for record in _records(raw, head))
    except Exception:  # noqa: BLE001 - as in read_contents; a marker that cannot be read ends nothing
        return False


def _cause(head: _Head, error: Exception) -> str:
    codec = UNPACK.get(head.attributes & CODEC)
    what = f"the {codec[0]} data of a batch" if codec is not None else "the records of a batch"
    return f"{what} cannot be read ({type(error).__name__}: {error})"


def _records(raw: bytes, head: _Head) -> Iterator[Record]:
    """Read the records of a sound batch. Raises a codec's own errors, and ValueError for bytes that are no records."""
    body: bytes = raw[head.start + HEAD.size : head.end]
    codec = head.attributes & CODEC
    if codec:
        if codec not in UNPACK:
            raise ValueError(f"codec {codec} is not known")
        body = UNPACK[codec][1](body)
    at = 0
    for _ in range(head.records):
        size, at = _varint(body, at)
        end = at + size
        if size < 0 or end > len(body):
            raise ValueError("a record is longer than its batch")
        record = _record(body, at + 1, end, head)
        if not head.base <= record.offset <= head.last:
            raise ValueError("a record's offset lies outside its batch")
        yield record
        at = end
    if at != len(body):
        raise ValueError("bytes are left over behind the records")


def _record(body: bytes, at: int, end: int, head: _Head) -> Record:
    since, at = _varint(body, at)
    delta, at = _varint(body, at)
    key, at = _bytes(body, at, end)
    value, at = _bytes(body, at, end)
    count, at = _varint(body, at)
    if not 0 <= count <= end - at:
        raise ValueError("a record has no such number of headers")
    headers: list[tuple[str, bytes | None]] = []
    readable = True
    for _ in range(count):
        name, at = _bytes(body, at, end)
        text, at = _bytes(body, at, end)
        try:
            headers.append(((name or b"").decode(), text))
        except UnicodeDecodeError:
            readable = False
        readable = readable and name is not None
    if at != end:
        raise ValueError("a record's length is wrong")
    timestamp_ms = head.last_ms if head.attributes & LOG_TIME else head.first_ms + since
    return Record(head.base + delta, timestamp_ms, key, value, tuple(headers) if readable else None)


def _bytes(body: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _varint(body, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise ValueError("a field is longer than its record")
    return body[at : at + size], at + size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag varint; raises IndexError at the end of the bytes."""
    byte = body[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")

"""Decodes record batches: their heads, checksums and records.

The format: Kafka's protocol guide, "Record Batch" (message format 2).
"""

import struct
from collections.abc import Iterator
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


class Record(NamedTuple):
    """One record. headers: None if a header's name cannot be read."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] | None


class Head(NamedTuple):
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


def read_head(raw: bytes, at: int) -> Head | None:
    """Return the head of the batch here; None if the bytes do not hold the whole batch."""
    if at + HEAD.size > len(raw):
        return None
    base, length, _, magic, checksum, attributes, delta, first_ms, last_ms, producer, _, _, count = HEAD.unpack_from(
        raw, at
    )
    end = at + LENGTH_FROM + length
    if length < HEAD.size - LENGTH_FROM or end > len(raw):
        return None
    return Head(at, end, base, base + delta, magic, checksum, attributes, first_ms, last_ms, producer, count)


def is_sound(raw: bytes, head: Head) -> bool:
    """Whether format and checksum are right."""
    checked = raw[head.start + CHECKED_FROM : head.end]
    return head.magic == FORMAT and int(calc_crc32c(checked)) == head.checksum


def read_records(raw: bytes, head: Head) -> Iterator[Record]:
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


def _record(body: bytes, at: int, end: int, head: Head) -> Record:
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

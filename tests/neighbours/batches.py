"""Batches as the broker keeps them: only their heads tell whether a producer was idempotent, and how it compressed."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""Kafka's record batch, version 2, from the base offset to the number of records."""
_BEFORE_LENGTH: Final = 12
_CODEC: Final = 0b111


@dataclass(frozen=True, slots=True)
class Batch:
    """offset: of its first record. idempotent: it has a producer's id and number. codec: 0 for not compressed."""

    partition: int
    offset: int
    records: int
    idempotent: bool
    codec: int


def read_batches(data_dir: Path, topic: str, partitions: int) -> Iterator[Batch]:
    """Read the batches of a topic from the broker's own files."""
    for partition in range(partitions):
        for segment in sorted((data_dir / f"{topic}-{partition}").glob("*.log")):
            yield from _batches(partition, segment.read_bytes())


def _batches(partition: int, segment: bytes) -> Iterator[Batch]:
    at = 0
    while at + _HEAD.size <= len(segment):
        offset, length, _, magic, _, attributes, _, _, _, producer, _, sequence, records = _HEAD.unpack_from(
            segment, at
        )
        if length == 0:
            return
        assert magic == 2, "not a batch of version 2"
        yield Batch(partition, offset, records, producer >= 0 and sequence >= 0, attributes & _CODEC)
        at += _BEFORE_LENGTH + length

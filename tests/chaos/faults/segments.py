"""Batches that no client can read, written into the segment of the running broker.

A broker refuses broken batches at the door, so a good one is spoilt where it lies. It lies in an open transaction
meanwhile, so that no consumer has seen it before; then the transaction is committed.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.chaos import messages
from tests.chaos.clock import unix_s
from tests.chaos.faults.scene import Scene, Stretch
from tests.chaos.faults.transactions import Transaction, made
from tests.chaos.messages import What

VICTIMS: Final = 5
HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""Of a batch of message format 2: base offset, length, epoch, magic, CRC, attributes, and what the records share."""
LENGTH_AT, CRC_AT, COVERED_AT, RECORDS_AT = 8, 17, 21, 61
BEFORE_LENGTH: Final = 12
"""What the length does not count."""
CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
PADDING: Final = 1_400
"""Bytes a victim, so that their batch is larger than what the broker's index leaves out: what lies behind is found."""
_WRONG_LENGTH: Final = {"short": -7, "long": 1_000, "tiny": None}
TINY: Final = 3


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - shifted in place
        table.append(value)
    return tuple(table)


_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of RFC 3720, which batches carry."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch in its file. at: of its first byte; size: all its bytes."""

    path: Path
    at: int
    size: int
    first_offset: int
    last_offset: int
    codec: str


def batches(folder: Path, sizes: Mapping[tuple[Path, int], int] = MappingProxyType({})) -> Iterator[Batch]:
    """Go through a partition's batches. sizes: of those whose own length is wrong, by file and place."""
    for path in sorted(folder.glob("*.log")):
        data, at = path.read_bytes(), 0
        while at + HEAD.size <= len(data):
            first, length, _, _, _, attributes, last_delta, *_ = HEAD.unpack_from(data, at)
            length = sizes.get((path, at), BEFORE_LENGTH + length) - BEFORE_LENGTH
            if length < HEAD.size - BEFORE_LENGTH:
                break
            yield Batch(path, at, BEFORE_LENGTH + length, first, first + last_delta, CODECS[attributes & 7])
            at += BEFORE_LENGTH + length


@contextmanager
def spoil(scene: Scene) -> Iterator[None]:
    """Publish a batch, spoil it on disk, and let consumers come to it."""
    how, codec = scene.fault.target.split()
    stage, partition = scene.stage, scene.draw.choice(scene.stage.blocked)
    scene.places = frozenset({(scene.topic(messages.ORDER), partition)})
    own = {"compression.type": codec, "linger.ms": 200, "batch.num.messages": VICTIMS}
    transaction = Transaction(scene, partition, **own)
    victims, said = map(list, zip(*made(stage.script, scene.name, VICTIMS, What.VICTIM), strict=True))
    if how in _WRONG_LENGTH:
        said = [replace(v, headers=(*v.headers, ("x-padding", scene.draw.randbytes(PADDING)))) for v in said]
    # One more record, in a batch of its own behind the victims: the broker's index leads to it.
    ((order, behind),) = made(stage.script, f"{scene.name}-behind", 1, What.ORDER)
    stage.published.script(order)
    transaction.send(*said, behind)
    batch, next_batch = _find(scene, partition, transaction.sent[0].offset)
    scene.notes.append(f"{batch.codec}, partition {partition}, offsets {batch.first_offset} to {batch.last_offset}")
    if how in _WRONG_LENGTH and next_batch.first_offset < next_batch.last_offset:
        # The index would lead behind it, and Kafka itself could not give it out any more.
        scene.notes.append("another batch came between: left as it was")
        transaction.sent = [replace(sent, message=replace(sent.message, what=What.ORDER)) for sent in transaction.sent]
        for victim in victims:
            stage.published.script(victim)
    else:
        stage.stretches.append(Stretch(scene.topic(messages.ORDER), partition, batch.first_offset, batch.last_offset))
        stage.spoilt[batch.path, batch.at] = batch.size
        _write(batch, how, scene.draw.randbytes(batch.size))
    assert transaction.commit(), scene.notes
    at = unix_s()
    for sent in transaction.sent:
        stage.published.add(replace(sent, at=at))
    yield


def _find(scene: Scene, partition: int, offset: int) -> tuple[Batch, Batch]:
    """Find the batch of this offset and the one behind it."""
    folder = scene.world.kafka_data / f"{scene.topic(messages.ORDER)}-{partition}"
    for batch, behind in pairwise(batches(folder, scene.stage.spoilt)):
        if batch.first_offset <= offset <= batch.last_offset:
            assert batch.last_offset - batch.first_offset == VICTIMS - 1, "the victims are not one batch"
            return batch, behind
    raise AssertionError(f"the batch of offset {offset} is not in {folder}")


def _write(batch: Batch, how: str, noise: bytes) -> None:
    file = os.open(batch.path, os.O_RDWR)
    try:
        if how == "flipped":
            (byte,) = os.pread(file, 1, batch.at + RECORDS_AT + 10)
            os.pwrite(file, bytes([byte ^ 1]), batch.at + RECORDS_AT + 10)
        elif how == "garbled":
            os.pwrite(file, noise[: batch.size - RECORDS_AT], batch.at + RECORDS_AT)
            covered = os.pread(file, batch.size - COVERED_AT, batch.at + COVERED_AT)
            os.pwrite(file, crc32c(covered).to_bytes(4, "big"), batch.at + CRC_AT)
        else:
            change = _WRONG_LENGTH[how]
            length = TINY if change is None else batch.size - BEFORE_LENGTH + change
            os.pwrite(file, length.to_bytes(4, "big"), batch.at + LENGTH_AT)
    finally:
        os.close(file)

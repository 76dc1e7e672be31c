"""Damage to what lies in a partition, done where it lies: in the running broker's segment, after it was accepted."""

import struct
from pathlib import Path
from typing import NamedTuple

from aiokafka.record.util import calc_crc32c

HEAD = 61
LENGTH_AT, CHECKSUM_AT, CHECKED_FROM = 8, 17, 21


class Batch(NamedTuple):
    """Where a batch lies in the file, and which offsets it holds."""

    at: int
    size: int
    first: int
    last: int


class Segment:
    """The only segment of a partition, as a file."""

    def __init__(self, data_dir: Path, topic: str, partition: int) -> None:
        self._path = data_dir / "kafka" / "data" / f"{topic}-{partition}" / f"{0:020}.log"

    def batches(self) -> list[Batch]:
        raw = self._path.read_bytes()
        found, at = [], 0
        while at < len(raw):
            first, length = struct.unpack_from(">qi", raw, at)
            (delta,) = struct.unpack_from(">i", raw, at + 23)
            found.append(Batch(at, length + 12, first, first + delta))
            at += length + 12
        return found

    def at(self, offset: int) -> Batch:
        """Return the batch that holds this offset."""
        return next(batch for batch in self.batches() if batch.first <= offset <= batch.last)

    def flip(self, batch: Batch) -> None:
        """Flip one bit of the records."""
        raw = self._bytes(batch)
        raw[HEAD + 20] ^= 1
        self._write(batch.at, bytes(raw))

    def garble(self, batch: Batch) -> None:
        """Overwrite the records, and give the batch a checksum that fits."""
        raw = self._bytes(batch)
        raw[HEAD:] = b"\xff" * (len(raw) - HEAD)
        raw[CHECKSUM_AT:CHECKED_FROM] = calc_crc32c(bytes(raw[CHECKED_FROM:])).to_bytes(4, "big")
        self._write(batch.at, bytes(raw))

    def name_codec(self, batch: Batch, codec: int) -> None:
        """Have the batch say that it is packed with another codec, with a checksum that fits."""
        raw = self._bytes(batch)
        raw[22] = raw[22] & 0xF8 | codec
        raw[CHECKSUM_AT:CHECKED_FROM] = calc_crc32c(bytes(raw[CHECKED_FROM:])).to_bytes(4, "big")
        self._write(batch.at, bytes(raw))

    def move(self, batch: Batch, first: int) -> None:
        """Have the batch say that it begins elsewhere: no checksum is over that."""
        self._write(batch.at, struct.pack(">q", first))

    def say_length(self, batch: Batch, length: int) -> None:
        """Have the batch say another length."""
        self._write(batch.at + LENGTH_AT, struct.pack(">i", length))

    def _bytes(self, batch: Batch) -> bytearray:
        return bytearray(self._path.read_bytes()[batch.at : batch.at + batch.size])

    def _write(self, at: int, data: bytes) -> None:
        with self._path.open("r+b") as file:
            file.seek(at)
            file.write(data)

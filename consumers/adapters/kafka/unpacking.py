"""Unpacks compressed batches, with a bound on the unpacked size.

A batch of a megabyte can unpack to gigabytes. aiokafka has no bound, so we replace its four functions.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Final

import cramjam
from aiokafka.record import default_records, legacy_records

Unpack = Callable[[bytes | memoryview], bytes]

UNPACKED_BYTES_MAX: Final = 64 << 20
"""The default bound: sixty times the size to which Kafka limits batches by default."""
FIRST_TRY: Final = 1 << 20
"""Enough bytes for nearly all batches. A larger buffer takes time to clear."""
GZIP: Final = 31
"""zlib's number for a gzip frame with the largest window."""
XERIAL: Final = b"\x82SNAPPY\0"
XERIAL_HEAD: Final = 16
FULL: Final = "failed to write whole buffer"
"""cramjam's error text when the buffer is too small."""
PLACES: Final = (
    default_records.__name__,
    legacy_records.__name__,
    default_records.DefaultRecordBatch.__module__,
    legacy_records.LegacyRecordBatch.__module__,
)
"""Modules that imported the functions under their own names, in Python and in C."""


class UnpackedTooLarge(Exception):  # noqa: N818 - it is about the batch, no fault of ours
    """A batch unpacks to more than is allowed."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"it unpacks to more than {bytes_max:,} bytes (PAYMENTS_UNPACKED_BYTES_MAX)")


class _Bound:
    """The bound of this process."""

    bytes_max = UNPACKED_BYTES_MAX


def bound_unpacking(bytes_max: int) -> None:
    """Make aiokafka refuse batches that unpack to more than so many bytes, in this process. Repeating it is safe."""
    _Bound.bytes_max = bytes_max
    for place in PLACES:
        module = sys.modules.get(place)
        for codec, unpack in UNPACK.values():
            if hasattr(module, f"{codec}_decode"):
                setattr(module, f"{codec}_decode", unpack)


def gzip(packed: bytes | memoryview) -> bytes:
    """Unpack gzip of one or several members."""
    parts: list[bytes] = []
    left = _Bound.bytes_max
    data = bytes(packed)
    while data:
        member = zlib.decompressobj(GZIP)
        # One byte above the bound shows that the batch is too large.
        part = member.decompress(data, left + 1)
        left -= len(part)
        if left < 0:
            raise UnpackedTooLarge(_Bound.bytes_max)
        if not member.eof:
            raise EOFError("the gzip data end too early")
        parts.append(part)
        data = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def snappy(packed: bytes | memoryview) -> bytes:
    """Unpack snappy: one block, or the frames of Java's clients."""
    data = bytes(packed)
    if not data.startswith(XERIAL) or len(data) <= XERIAL_HEAD:
        return _block(data, _Bound.bytes_max)
    parts: list[bytes] = []
    left = _Bound.bytes_max
    at = XERIAL_HEAD
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big", signed=True)
        at += 4
        if size < 0 or at + size > len(data):
            raise ValueError("a block of the snappy data ends too early")
        part = _block(data[at : at + size], left)
        left -= len(part)
        parts.append(part)
        at += size
    return b"".join(parts)


def lz4(packed: bytes | memoryview) -> bytes:
    """Unpack lz4."""
    return _into(cramjam.lz4.decompress_into, packed)


def zstd(packed: bytes | memoryview) -> bytes:
    """Unpack zstd."""
    return _into(cramjam.zstd.decompress_into, packed)


def _block(data: bytes, left: int) -> bytes:
    # A snappy block begins with its unpacked size.
    if cramjam.snappy.decompress_raw_len(data) > left:
        raise UnpackedTooLarge(_Bound.bytes_max)
    return bytes(cramjam.snappy.decompress_raw(data))


def _into(decompress_into: Callable[[bytes, bytearray], int], packed: bytes | memoryview) -> bytes:
    """Unpack into a buffer of fixed size, first a small one."""
    data = bytes(packed)
    bytes_max = _Bound.bytes_max
    for size_max in dict.fromkeys((min(max(FIRST_TRY, 4 * len(data)), bytes_max), bytes_max)):
        unpacked = bytearray(size_max)
        try:
            size = decompress_into(data, unpacked)
        except cramjam.DecompressionError as error:
            if FULL not in str(error):
                raise
        else:
            del unpacked[size:]
            return bytes(unpacked)
    raise UnpackedTooLarge(bytes_max)


UNPACK: Final[dict[int, tuple[str, Unpack]]] = {
    1: ("gzip", gzip),
    2: ("snappy", snappy),
    3: ("lz4", lz4),
    4: ("zstd", zstd),
}
"""By a batch's codec number."""

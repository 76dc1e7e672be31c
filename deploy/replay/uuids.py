"""UUIDs as text, checked and packed by the thousand."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deploy.replay.cursor import Mask

SIZE: Final = 36
_DASHES: Final = [8, 13, 18, 23]
_DIGITS: Final = [place for place in range(SIZE) if place not in _DASHES]
_NONE: Final = 255
_VALUES: Final = np.full(256, _NONE, np.uint8)
_VALUES[list(b"0123456789abcdef")] = range(16)


def packed(texts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Mask]:
    """Return the 16 bytes of UUIDs in lower case, and which are one. texts: rows of 36 bytes."""
    digits = _VALUES[texts.take(_DIGITS, axis=1)]
    right: Mask = (digits != _NONE).all(axis=1) & (texts.take(_DASHES, axis=1) == ord("-")).all(axis=1)
    return digits[:, 0::2] << np.uint8(4) | digits[:, 1::2], right


def ids_of(found: NDArray[np.uint8]) -> list[bytes]:
    """Return packed UUIDs as bytes, 16 each."""
    data = found.tobytes()
    return [data[place : place + 16] for place in range(0, len(data), 16)]


def texts_at(data: NDArray[np.uint8], begin: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Copy the 36 bytes that begin at each of these places."""
    windows = np.lib.stride_tricks.sliding_window_view(data, SIZE)
    found: NDArray[np.uint8] = windows[begin]
    return found


def texts_in(array: pa.StringArray) -> NDArray[np.uint8]:
    """Return the texts of an array without nulls, each of 36 bytes."""
    _, places, data = array.buffers()
    begin = np.frombuffer(places, np.int32)[array.offset : array.offset + len(array)]
    return texts_at(np.frombuffer(data, np.uint8), begin) if len(array) else np.empty((0, SIZE), np.uint8)

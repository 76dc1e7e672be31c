"""Reads the same Avro field of many bodies at once: each body is a lane, with a place of its own.

A lane that is read beyond its end, or that has what only a slower reader judges, has failed: its place stays behind its
end for good. What was read of it is not to be used.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

PADDING: Final = bytes(64)
"""Behind the bodies: a number or a UUID is read at once, though its body ends sooner."""
_MORE: Final = 0x80
_BITS: Final = 7
_BYTES_MAX: Final = 9
"""Of a number. Avro allows ten; the numbers that need them are for a slower reader."""


class Cursor:
    """Lanes and their places. data: the bodies, one after the other, then PADDING. at, end: by lane, in order."""

    def __init__(self, data: NDArray[np.uint8], at: Whole, end: Whole) -> None:
        self.data = data
        self.at = at
        self.end = end

    def __len__(self) -> int:
        return len(self.at)

    @property
    def done(self) -> Mask:
        """Which lanes were read to their very end."""
        done: Mask = self.at == self.end
        return done

    def fail(self, lanes: Mask) -> None:
        """Give up these lanes."""
        if lanes.any():
            self.at = np.where(lanes, self.end + 1, self.at)

    def part(self, lanes: Whole) -> "Cursor":
        """Return a cursor for some lanes. `rejoin` brings their places back."""
        return Cursor(self.data, self.at[lanes], self.end[lanes])

    def rejoin(self, lanes: Whole, part: "Cursor") -> None:
        """Go on where a part has ended."""
        self.at[lanes] = part.at

    def byte(self) -> NDArray[np.uint8]:
        """Read one byte."""
        found = self.data[self.at]
        self._go(self.at + 1)
        return found

    def whole(self) -> Whole:
        """Read an Avro int or long."""
        byte = self.data[self.at]
        value = (byte & (_MORE - 1)).astype(np.int64)
        size = np.ones(len(self), np.int64)
        lanes = np.flatnonzero(byte >= _MORE)
        for number in range(1, _BYTES_MAX):
            if not lanes.size:
                break
            byte = self.data[self.at[lanes] + number]
            value[lanes] |= (byte & (_MORE - 1)).astype(np.int64) << (number * _BITS)
            size[lanes] += 1
            longer = lanes[byte == 0]
            size[longer] = self.end[longer] + 1  # it has more bytes than it needs
            lanes = lanes[byte >= _MORE]
        size[lanes] = self.end[lanes] + 1  # too long
        self._go(self.at + size)
        return (value >> 1) ^ -(value & 1)

    def text(self) -> tuple[Whole, Whole]:
        """Read a string. Return its first place and the one behind it; they lie inside of the body in any case."""
        size = self.whole()
        begin = np.minimum(self.at, self.end)
        self._go(np.where((size < 0) | (size > self.end - self.at), self.end + 1, self.at + size))
        return begin, np.minimum(self.at, self.end)

    def _go(self, to: Whole) -> None:
        self.at = np.minimum(to, self.end + 1)

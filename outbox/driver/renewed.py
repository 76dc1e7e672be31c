"""A secret that somebody renews in its file: each new connection reads it again."""

from collections.abc import Callable
from typing import Self


class RenewedText(str):
    """A secret as it was at start, and how to read it again. It is a plain text for whoever does not know that."""

    __slots__ = ("_read",)
    _read: Callable[[], str]

    def __new__(cls, text: str, read: Callable[[], str]) -> Self:
        """Make one. read: returns the text as it is now; it raises OSError if it cannot."""
        made = super().__new__(cls, text)
        made._read = read
        return made

    def now(self) -> str:
        """Return the text as it is now. Raises OSError."""
        return self._read()

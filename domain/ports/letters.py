"""Where dead letters are kept, for the job that erases payment tokens in them."""

from collections.abc import Callable
from typing import Protocol

Hide = Callable[[str, bytes], bytes | None]
"""From a consumer group and the body of a letter of it to what others may read of the body; None: nothing."""


class KeptLetters(Protocol):
    """The table of dead letters. All methods raise Transient if the database does not answer."""

    async def erase_tokens(self, days: int, limit: int) -> int:
        """Erase the tokens of letters refused longer ago than that; return how many. They cannot be redriven."""
        ...

    async def hide_tokens(self, hide: Hide, limit: int) -> int:
        """Move tokens out of the bodies of letters that a release before 0015 wrote; return how many letters.

        Those that were redriven or given up lose them at once.
        """
        ...

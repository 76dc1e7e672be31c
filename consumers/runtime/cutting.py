"""Cutting a batch until the item that raises is found: it is given up, and all others are done.

A batch is one transaction, so one bad item rolls back all others. The batch is cut in halves, each in a transaction of
its own and in the order of its items, until the bad item is alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog

from consumers.runtime.guard import HopelessRaceError, Stopped
from domain.errors import TooMuch, Transient, Unfit

T = TypeVar("T")
R = TypeVar("R")

NOT_THEIRS: Final = (Transient, Unfit, Stopped, HopelessRaceError, MemoryError)
"""A dependency, the release or this process is to blame: the same work may succeed elsewhere or later."""

_log = structlog.get_logger("consumers.cutting")


class TooLarge(Exception):  # noqa: N818 - an answer, no error
    """The database gave up on a batch of this size. Half of it may succeed."""


def is_theirs(error: Exception) -> bool:
    """Whether the work that raised this is to blame."""
    return not isinstance(error, NOT_THEIRS)


async def in_pieces(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[None]],
    give_up: Callable[[T, Exception], Awaitable[None]],
) -> None:
    """Work on all items, together if that succeeds. Give up those that raise even alone.

    An error that no item is to blame for is raised: then the items before it are done, and the others are not.
    """
    left: list[Sequence[T]] = [items]
    while left:
        piece = left.pop()
        try:
            await work(piece)
        except Exception as error:
            if not is_theirs(error):
                raise
            if len(piece) == 1:
                await give_up(piece[0], error)
            else:
                # Without the text of the error: it may quote an item.
                _log.warning("a batch raised, and is cut", items=len(piece), error=type(error).__name__)
                middle = len(piece) // 2
                left += [piece[middle:], piece[:middle]]


async def or_cut(items: Sequence[T], transaction: Awaitable[R]) -> R:
    """Await a transaction over these items. Raise TooLarge if the database gives up on more than one item."""
    try:
        return await transaction
    except TooMuch as error:
        if len(items) > 1:
            raise TooLarge(str(error)) from error
        raise

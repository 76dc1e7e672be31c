"""What the upkeep of the inbox's days reports."""

from typing import NamedTuple


class InboxUpkeep(NamedTuple):
    """What an upkeep of the inbox's partitions did. ahead: consecutive days after today that exist; -1: not even today.

    undone: what could not be done, and why, a line each; the next upkeep tries again. strange: partitions with the name
    of a day that do not hold that day.
    """

    made: int
    dropped: int
    ahead: int
    undone: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

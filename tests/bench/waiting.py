"""Waiting by looking, within a bound: until consumer groups share their work, until nothing moves any more."""

import time
from collections.abc import Callable, Collection

from tests.bench.groups import Group, unsettled

SETTLE_S = 60.0
"""For all members of all groups to join: a broker may take several rebalances of 3 s each for a group."""
STILL_S = 1.0
"""How long nothing may move: longer than any poll, linger or pause between two turns of anybody measured here."""
STILL_WITHIN_S = 30.0
POLL_S = 0.1


def wait_until_settled(
    read: Callable[[], Collection[Group]], wanted: Collection[str], members: int, partitions: int
) -> list[str]:
    """Wait until every group has its members, and they all partitions; say what is still amiss after SETTLE_S."""
    end = time.monotonic() + SETTLE_S
    while (amiss := unsettled(read(), wanted, members, partitions)) and time.monotonic() < end:
        time.sleep(POLL_S)
    return amiss


def wait_until_still(read: Callable[[], object], busy: Callable[[], str]) -> list[str]:
    """Wait until what is read has not changed for STILL_S and nothing is busy; say what is after STILL_WITHIN_S.

    busy: what is still to be done, or nothing. It is asked only when the readings stand still.
    """
    begun = since = time.monotonic()
    last, why = read(), "it still moves"
    while time.monotonic() - begun < STILL_WITHIN_S:
        time.sleep(POLL_S)
        if (reading := read()) != last:
            last, since, why = reading, time.monotonic(), "it still moves"
        elif time.monotonic() - since >= STILL_S and not (why := busy()):
            return []
    return [f"not at rest after {STILL_WITHIN_S:.0f} s: {why}"]

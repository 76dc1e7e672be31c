"""The search for inputs by which the rules say again what is told.

Best first: the story that says most of it, with the fewest silent steps in between. Whatever does not agree with what
is told is left; so a wrong guess goes nowhere.
"""

import heapq
from collections.abc import Sequence
from itertools import count
from typing import Final, NamedTuple

from consumers.runtime.retelling.moves import moves
from consumers.runtime.retelling.story import Laws, Story
from consumers.runtime.retelling.told import Told, Trigger
from domain.ids import EventId

STORIES_MAX: Final = 1_500
"""So many stories of one order are looked at; orders of random lives needed 472 at most."""
COST_MAX: Final = 16
"""No more is believed between two events."""


class Retold(NamedTuple):
    """What came of it. story: None if none was found. reached: the version up to which one was found.

    strictly: every event is said again as it is told; else texts, or times that settings give, differ.
    """

    story: Story | None
    reached: int
    strictly: bool = True


def retell(story: Story, told: Told, triggers: Sequence[Trigger], laws: Laws) -> Retold:
    """Bring the order to its last event that is told. told: nothing that the order has said already."""
    found = _search(story, told, triggers, laws)
    if found.story is not None:
        return found
    loose = _search(story, told.loosely(), triggers, laws)
    return loose._replace(strictly=False)


class _Step(NamedTuple):
    """A story to be looked at. before: minus the version before its last step; cost: since an event was said last.

    So what says the next event cheapest is taken, and whatever says more is looked at before what says less.
    """

    before: int
    cost: int
    number: int
    story: Story


def _search(story: Story, told: Told, triggers: Sequence[Trigger], laws: Laws) -> Retold:
    numbers = count()
    heap = [_Step(-story.version, 0, next(numbers), story)]
    seen: set[tuple[int, int, frozenset[EventId]]] = set()
    reached = story.version
    for _ in range(STORIES_MAX):
        if not heap:
            break
        step = heapq.heappop(heap)
        here = step.story
        reached = max(reached, here.version)
        if here.version >= told.last:
            return Retold(here, reached)
        cost = step.cost if here.version == -step.before else 0
        for move in moves(here, told, triggers, laws):
            after = move.after
            said = after.said[len(here.said) :]
            key = (hash(after.order), hash(after.ended), after.read)
            if (said and not told.agrees(said)) or cost + move.cost > COST_MAX or key in seen:
                continue
            if not said:
                seen.add(key)
            heapq.heappush(heap, _Step(-here.version, cost + move.cost, next(numbers), after))
    return Retold(None, reached)

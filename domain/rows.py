"""The types of the rows of both tables. The rows stand in the consumer files, each file with those of its topic.

The first row that fits is taken. Both tables are total: an event that fits no row has no effect. For an outcome that
fits no row, `settling.undo` gives back money that the order does not need.
"""

from collections.abc import Callable, Iterable
from itertools import product
from typing import Final, NamedTuple

from domain.case import Case
from domain.conditions import always
from domain.decision import Decision
from domain.operation import OperationKind
from domain.order import Status
from domain.outcome import Outcome

Condition = Callable[[Case], bool]
Step = Callable[[Case], Decision]

NO_ORDER: Final = (None,)
"""In a row of plans: there is no order of this id."""
ANY: Final = tuple(Status)
EVERY: Final = tuple(OperationKind)


class When(NamedTuple):
    """A row of plans: in these statuses (or NO_ORDER), if the condition holds, the event leads to this step."""

    statuses: Status | tuple[Status | None, ...]
    condition: Condition
    step: Step

    def all_statuses(self) -> tuple[Status | None, ...]:
        """Return the statuses of the row."""
        return (self.statuses,) if isinstance(self.statuses, Status) else self.statuses


class On(NamedTuple):
    """A row of outcomes: such an outcome, in these statuses, leads to this step if the condition holds."""

    kinds: OperationKind | tuple[OperationKind, ...]
    outcomes: tuple[type[Outcome], ...]
    condition: Condition
    step: Step
    statuses: Status | tuple[Status, ...] = ANY

    def all_statuses(self) -> tuple[Status, ...]:
        """Return the statuses of the row."""
        return (self.statuses,) if isinstance(self.statuses, Status) else self.statuses

    def all_kinds(self) -> tuple[OperationKind, ...]:
        """Return the kinds of operation of the row."""
        return (self.kinds,) if isinstance(self.kinds, OperationKind) else self.kinds


Entry = tuple[Condition | None, Step]
"""The condition and the step of a row. None: the condition always holds."""
Plans = dict[Status | None, tuple[Entry, ...]]
Place = tuple[OperationKind, type[Outcome], Status]
Settles = dict[Place, tuple[Entry, ...]]


def plans_by_status(rows: Iterable[When]) -> Plans:
    """Index rows of plans by status, in their order."""
    rows = tuple(rows)
    return {status: tuple(_entry(row) for row in rows if status in row.all_statuses()) for status in (None, *Status)}


def settles_by_case(rows: Iterable[On]) -> Settles:
    """Index rows of outcomes by kind of operation, outcome and status, in their order; cases without a row are missing.

    Two thirds of all cases have none, and the others share their rows: written out for every case, the tables of all
    reactions would take each process two megabytes, and time at its start.
    """
    found: dict[Place, tuple[Entry, ...]] = {}
    shared: dict[tuple[Entry, ...], tuple[Entry, ...]] = {}
    for row in rows:
        entry = _entry(row)
        for place in product(row.all_kinds(), row.outcomes, row.all_statuses()):
            entries = (*found.get(place, ()), entry)
            found[place] = shared.setdefault(entries, entries)
    return found


def _entry(row: When | On) -> Entry:
    return None if row.condition is always else row.condition, row.step

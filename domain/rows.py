"""What both tables are made of. The rows themselves stand in the consumer files: each is its topic's part of the table.

The first row that fits counts. Both tables are total: an event that fits no row has no effect, and an outcome that fits
no row is looked at for money that no status wants (`settling.undo`).
"""

from collections.abc import Callable, Iterable
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
    """In these statuses (one, several, or NO_ORDER), when the condition holds, an event has this step planned."""

    statuses: Status | tuple[Status | None, ...]
    condition: Condition
    step: Step

    def fits(self) -> tuple[Status | None, ...]:
        """Return the statuses of the row."""
        return (self.statuses,) if isinstance(self.statuses, Status) else self.statuses


class On(NamedTuple):
    """When such an operation has such an outcome, in these statuses, when the condition holds, this step is taken."""

    kinds: OperationKind | tuple[OperationKind, ...]
    outcomes: tuple[type[Outcome], ...]
    condition: Condition
    step: Step
    statuses: Status | tuple[Status, ...] = ANY

    def fits(self) -> tuple[Status, ...]:
        """Return the statuses of the row."""
        return (self.statuses,) if isinstance(self.statuses, Status) else self.statuses

    def settles(self) -> tuple[OperationKind, ...]:
        """Return the kinds of operation of the row."""
        return (self.kinds,) if isinstance(self.kinds, OperationKind) else self.kinds


Taking = tuple[Condition | None, Step]
"""A row in an index. None: it holds for every case, and need not be asked."""
Plans = dict[Status | None, tuple[Taking, ...]]
Settles = dict[tuple[OperationKind, type[Outcome], Status], tuple[Taking, ...]]


def plans_by_status(rows: Iterable[When]) -> Plans:
    """Index rows of plans by status; their order is kept."""
    rows = tuple(rows)
    return {status: tuple(_taking(row) for row in rows if status in row.fits()) for status in (None, *Status)}


def settles_by_case(rows: Iterable[On]) -> Settles:
    """Index rows of outcomes by kind of operation, outcome and status; their order is kept."""
    rows = tuple(rows)
    return {
        (kind, outcome, status): tuple(
            _taking(row) for row in rows if kind in row.settles() and outcome in row.outcomes and status in row.fits()
        )
        for kind in OperationKind
        for outcome in Outcome.__args__
        for status in Status
    }


def _taking(row: When | On) -> Taking:
    return None if row.condition is always else row.condition, row.step

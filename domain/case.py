"""What rows and steps look at: one order, and the event or the outcome that has come for it."""

from typing import TypeVar

from domain.operation import Operation
from domain.order import Attempt, Order
from domain.outcome import Outcome
from domain.rules import Context
from domain.values import Value
from schemas.events import Event

AnEvent = TypeVar("AnEvent", bound=Event)
AnOutcome = TypeVar("AnOutcome", bound=Outcome)


class Case(Value, frozen=True):
    """order: as it is now; in rows for NO_ORDER there is none. reaction: the name of the owner of new operations.

    event: set in a plan. operation, outcome: set in a settle; the outcome's money is booked in the order already.
    returned_minor: what the outcome gave back of captured money, in minor units.
    """

    order: Order
    context: Context
    reaction: str = ""
    event: Event | None = None
    operation: Operation | None = None
    outcome: Outcome | None = None
    returned_minor: int = 0

    @property
    def attempt(self) -> Attempt:
        """Return the attempt of the operation that is settled; in a plan the current one."""
        order = self.order
        return order.current if self.operation is None else order.attempts[self.operation.attempt - 1]

    @property
    def left_minor(self) -> int:
        """Return what is kept of that attempt, if all refunds besides the operation succeed that are under way."""
        return self.order.left_minor(self.attempt, self.operation)

    @property
    def call(self) -> Operation:
        """Return the operation. Only in a settle."""
        assert self.operation is not None
        return self.operation

    def event_as(self, kind: type[AnEvent]) -> AnEvent:
        """Return the event. Only in rows of its topic."""
        assert isinstance(self.event, kind)
        return self.event

    def outcome_as(self, kind: type[AnOutcome]) -> AnOutcome:
        """Return the outcome. Only in rows of its type."""
        assert isinstance(self.outcome, kind)
        return self.outcome

"""What a row of a table judges, and what a step works on: one order, and what has come to it."""

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
    """order: as it is; in rows for NO_ORDER there is none. reaction: the name of whose operation is opened.

    event: what a plan is about. operation and outcome: what is settled; the outcome's money is booked in the order.
    """

    order: Order
    context: Context
    reaction: str = ""
    event: Event | None = None
    operation: Operation | None = None
    outcome: Outcome | None = None

    @property
    def attempt(self) -> Attempt:
        """Return the attempt of the operation that is settled; in a plan the one that counts."""
        order = self.order
        return order.current if self.operation is None else order.attempts[self.operation.attempt - 1]

    @property
    def call(self) -> Operation:
        """Return the operation, in rows that settle one."""
        assert self.operation is not None
        return self.operation

    def event_as(self, kind: type[AnEvent]) -> AnEvent:
        """Return the event, in rows of its topic."""
        assert isinstance(self.event, kind)
        return self.event

    def outcome_as(self, kind: type[AnOutcome]) -> AnOutcome:
        """Return the outcome, in rows of its type."""
        assert isinstance(self.outcome, kind)
        return self.outcome

"""The shape of a consumer: which event it reacts to, what it plans, how it settles, what it may emit."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.decision import Decision
from domain.operation import OperationKind
from domain.order import Operation, Order
from domain.outcome import Outcome
from domain.rules import Context
from schemas.events import Event, OwnEvent

GROUP_PREFIX = "payments."

# The event is the reaction's own trigger: the runtime routes by topic, so a consumer may name the type it expects.
Plan = Callable[[Order | None, "Event", Context], Decision]
Settle = Callable[[Order, Operation, Outcome, Context], Decision]


@dataclass(frozen=True, slots=True)
class Reaction:
    """One consumer group over one topic. Both functions are pure; everything between them is the runtime's.

    calls: what it may ask at the edge; while that is down for everybody, the reaction pauses. waits: whether its
    messages wait while their order is in quarantine; one that only cleans up or tells goes on.
    """

    name: str
    trigger: type[Event]
    plan: Plan
    settle: Settle
    emits: tuple[type[OwnEvent], ...]
    calls: frozenset[OperationKind]
    waits: bool = True

    @property
    def group(self) -> str:
        """Return the Kafka consumer group."""
        return GROUP_PREFIX + self.name

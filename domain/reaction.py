"""The form of a consumer: which event it reacts to, its rows of both tables, what it may emit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from domain.answers import admit
from domain.booking import book
from domain.cancelling import CANCELLING_BY_CASE
from domain.carrying_on import carry_on
from domain.case import Case
from domain.closing import close
from domain.decision import NOTHING, Decision
from domain.gateway_sums import outside_minor
from domain.operating import has_time_to_decide, postpone
from domain.operation import Operation, OperationKind
from domain.order import Order, Status
from domain.outcome import (
    CustomerMustAct,
    NotExecuted,
    NotFound,
    Outcome,
    Pending,
    ReturnedElsewhere,
    TransactionMissing,
    Unknown,
)
from domain.pending import AT_OTHERS
from domain.returning import others_under_way
from domain.rows import On, Plans, Settles, Step, When, plans_by_status, settles_by_case
from domain.rules import Context
from domain.settling import undo
from schemas.events import Event, OwnEvent

GROUP_PREFIX = "payments."
_WAITS: Final = frozenset({Unknown, NotFound, NotExecuted, Pending, CustomerMustAct, TransactionMissing})
"""These outcomes leave an operation unfinished, unless the step closes it."""

Settle = Callable[[Order, Operation, Outcome, Context], Decision]


@dataclass(frozen=True, slots=True)
class Reaction:
    """One consumer group on one topic. The runtime makes the call between plan and settle.

    plans, settles: its rows; the first that fits is taken. calls: the kinds of operation that it may open; while the
    gateway refuses all of them, the reaction pauses. waits: its messages wait while their order is in quarantine;
    False for a reaction that only releases goods or notifies. begins: its event brings the order; messages that came
    before the order are looked for.
    """

    name: str
    trigger: type[Event]
    plans: tuple[When, ...]
    settles: tuple[On, ...]
    emits: tuple[type[OwnEvent], ...]
    calls: frozenset[OperationKind]
    waits: bool = True
    begins: bool = False
    _plans: Plans = field(init=False, repr=False, compare=False)
    _settles: Settles = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the rows."""
        object.__setattr__(self, "_plans", plans_by_status(self.plans))
        object.__setattr__(self, "_settles", settles_by_case(self.settles))

    @property
    def group(self) -> str:
        """Return the Kafka consumer group."""
        return GROUP_PREFIX + self.name

    def plan(self, order: Order | None, event: Event, context: Context) -> Decision:
        """Decide what an event asks for. order: None if there is none with this id."""
        case = Case(cast("Order", order), context, self.name, event)
        for condition, step in self._plans[None if order is None else order.status]:
            if condition is None or condition(case):
                return step(case)
        return NOTHING

    def settle(self, order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
        """Decide what an outcome makes of its order. The money is booked first, whatever row fits.

        Steps see the outcome as domain.answers admits it. order: with its closed operations where `looks_back` says so.
        """
        outcome = admit(operation, outcome)
        if isinstance(outcome, ReturnedElsewhere) and others_under_way(order, operation):
            # All that is back there may hold what these gave back: their outcomes come first.
            outcome = Pending(transaction_id=operation.transaction_id, detail=AT_OTHERS)
        if has_time_to_decide(operation, outcome, context):
            outcome = Unknown("the gateway has it, without a decision so far")
        before = order.attempts[operation.attempt - 1]
        outside = outside_minor(order, operation.attempt) if isinstance(outcome, ReturnedElsewhere) else 0
        attempt = book(before, operation, outcome, context.at, outside)
        if attempt is not before:
            order = order.with_attempt(attempt)
        kind, name = type(outcome), operation.reaction
        step: Step = undo
        returned = attempt.refunded_minor - before.refunded_minor
        case = Case(order, context, name, None, operation, outcome, returned)
        place = operation.kind, kind, order.effective_status
        rows = self._settles.get(place, ())
        # A refund that somebody asked for ends as it would have; then the cancel goes on.
        if order.requests and order.cancel is not None and operation.for_request is None:
            rows = CANCELLING_BY_CASE.get(place, ()) + rows
        for condition, taken in rows:
            if condition is None or condition(case):
                step = taken
                break
        if kind in _WAITS:
            done = postpone(operation, outcome, context, attempt.action_expires_at)
        else:
            done = close(operation, outcome, context, returned)
        case = Case(order.with_operation(done), context, name, None, operation, outcome, returned)
        # A review may have nothing to ask any more, whether or not somebody asked for something.
        follows = order.requests or order.status is Status.MANUAL_REVIEW
        return carry_on(case, step(case)) if follows else step(case)

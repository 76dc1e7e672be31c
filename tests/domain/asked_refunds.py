"""A paid order to which requests, answers and news come, decided on as the runtime decides."""

from dataclasses import dataclass, field
from typing import Any, Final

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME
from consumers.refund_requested import refund_payment
from domain.decision import Decision
from domain.hearing import with_closed
from domain.ids import EventId
from domain.lease import looks_back
from domain.operation import INVENTORY_KINDS, Operation, OperationKind
from domain.order import HoldState, Order, Status
from domain.outcome import Approved, Outcome
from domain.requests import Request, RequestKind, find
from domain.resolving import resolve
from domain.rules import Context
from domain.ruling import No, Ruling, Word
from domain.values import replace
from schemas import events as e
from schemas.rejection import Reason
from tests.domain.builders import captured, context, hold, order
from tests.schemas import builders

SETTLES: Final = {name: reaction.settle for name, reaction in BY_NAME.items()}


def paid(**overrides: Any) -> Order:
    """Build a paid order of 30.80 with its goods sold."""
    fields: dict[str, Any] = {"holds": (hold(state=HoldState.SOLD),), "version": 9}
    return order(Status.PAID_AND_CONFIRMED, captured(token=None), **(fields | overrides))


@dataclass
class Play:
    """The order as it is now, everything that was emitted, and every operation that ever was."""

    order: Order = field(default_factory=paid)
    events: list[e.OwnEvent] = field(default_factory=list)
    history: dict[int, Operation] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)
    at: Any = None

    def context(self) -> Context:
        return context(**self.rules) if self.at is None else context(self.at, **self.rules)

    def ask(self, request_id: str, amount_minor: int | None = None, **fields: Any) -> Reason | None:
        """Have a refund asked for; return why the message is refused."""
        event = builders.refund_requested(
            request_id=request_id,
            amount_minor=amount_minor,
            event_id=builders.event_id(f"{request_id} {amount_minor}"),
            **({"lines": ()} | fields),
        )
        because = replace(self.context(), causation_id=EventId(event.event_id))
        decision = refund_payment.plan(self.order, event, because)
        self.take(decision)
        return decision.refused

    def answer(self, outcome: Outcome, request_id: str | None = None) -> None:
        """Settle the refund under way of this request, or the only one."""
        self.settle(self.call(request_id), outcome)

    def settle(self, call: Operation, outcome: Outcome) -> None:
        """Settle a call, with what has ended before where the settler loads it."""
        closed = list(self.history.values()) if looks_back(self.order, call, outcome) else []
        because = replace(self.context(), causation_id=call.causation_id)
        self.take(SETTLES[call.reaction](with_closed(self.order, closed), call, outcome, because))

    def approve(self, request_id: str | None = None, **fields: Any) -> None:
        """Have the gateway make the refund under way."""
        call = self.call(request_id)
        done = Approved(call.transaction_id, f"re_{call.for_request}_{call.try_number}", call.amount_minor)
        self.answer(replace(done, **fields), request_id)

    def rule(self, word: Word, reference: str | None = None, **fields: Any) -> str | None:
        """Have an operator rule; return why that is refused."""
        ruling = Ruling(word, "looked it up", "alice", reference, **fields)
        history = sorted(self.history.values(), key=lambda o: (o.opened_at, o.attempt, o.try_number))
        found = resolve(self.order, history, ruling, SETTLES, could_name, self.context())
        if isinstance(found, No):
            return found.why
        self.take(found)
        return None

    def take(self, decision: Decision) -> None:
        """Apply a decision, and whatever the inventory then does at once."""
        self.events += decision.events
        if decision.alarm:
            self.alarms.append(decision.alarm)
        if decision.order is None:
            return
        opened = [o for o in decision.order.operations if o.unfinished and self.order.operation(o.operation_id) is None]
        assert not [o for o in opened if o.operation_id.int in self.history], "a call has the key of an earlier one"
        self.order = decision.order
        self.history |= {o.operation_id.int: o for o in decision.order.operations if o.kind not in INVENTORY_KINDS}
        self.check()
        local = next((o for o in self.order.operations if o.unfinished and o.kind in INVENTORY_KINDS), None)
        if local is not None:
            self.take(SETTLES[local.reaction](self.order, local, Approved(), self.context()))
        self.order = replace(self.order, operations=tuple(o for o in self.order.operations if o.unfinished))

    def check(self) -> None:
        """Hold the order to what must always be so."""
        money = self.order.current
        assert 0 <= money.refunded_minor <= money.captured_minor
        assert sum(o.blocks for o in self.order.operations) <= 1, "the index of the table would refuse it"
        keys = [(o.attempt, o.kind, o.try_number, o.for_request) for o in self.order.operations]
        assert len(keys) == len(set(keys)) == len({o.operation_id for o in self.order.operations})
        assert [r.arrival for r in self.order.requests] == list(range(1, len(self.order.requests) + 1))

    def call(self, request_id: str | None = None) -> Operation:
        """Return the refund under way of this request, or the only one."""
        (found,) = [
            o
            for o in self.order.operations
            if o.unfinished and o.kind is OperationKind.REFUND and request_id in {None, o.for_request}
        ]
        return found

    def request(self, request_id: str) -> Request:
        """Return the refund of this id."""
        found = find(self.order.requests, RequestKind.REFUND, request_id)
        assert found is not None
        return found

    def states(self) -> dict[str, str]:
        """Return where each request stands; of a refused one, why."""
        return {r.request_id: r.refused or str(r.state) for r in self.order.requests}

    def told(self, kind: type[e.OwnEvent], *names: str) -> list[Any]:
        """Return these fields of every event of this kind; of one name its values alone."""
        rows = [tuple(getattr(event, name) for name in names) for event in self.events if isinstance(event, kind)]
        return [row[0] for row in rows] if len(names) == 1 else rows

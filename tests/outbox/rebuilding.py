"""An order of the domain, with what was said of it, as both sides of a rebuild."""

from collections.abc import Iterable

from domain.closing import ELSEWHERE
from domain.operation import Operation, OperationKind, OperationState
from domain.order import HoldState, Order
from outbox.audit.rebuild.fold import Folded, fold
from outbox.audit.rebuild.judge import Live, Verdict, judge
from outbox.audit.rebuild.said import Said, said_of
from outbox.audit.rebuild.state import AttemptState, OrderState
from schemas.events import Event
from tests.domain.driver import Run
from tests.schemas import builders


def said(*events: Event, consumed: bool = True) -> list[Said]:
    """Return what these events say, in the order of the fold."""
    rows = [said_of(event, event.event_id.bytes, consumed=consumed) for event in events]
    return sorted((row for row in rows if row is not None), key=lambda row: (row.version, row.ordinal))


def folded(*events: Event) -> Folded:
    """Fold these events of order-1 behind its OrderConfirmed."""
    return fold("order-1", said(builders.order_confirmed(), *events))


def live_of(order: Order, operations: Iterable[Operation]) -> Live:
    """Return the order as live.py reads it from the tables. operations: all that it ever had."""
    every = list(operations)
    working = [f"{o.kind} {o.state}" for o in every if o.unfinished and o.due_at is not None]
    held = any(hold.state is HoldState.HELD for hold in order.holds) and order.status in {"payment_failed", "cancelled"}
    attempts = []
    for attempt in order.attempts:
        hold = order.hold_of(attempt.number)
        attempts.append(
            AttemptState(
                attempt.number,
                attempt.transaction_id if attempt.authorized_minor or attempt.action_expires_at else None,
                attempt.authorized_minor,
                attempt.captured_minor,
                attempt.refunded_minor,
                attempt.held_minor,
                str(hold.reservation_id) if hold is not None else None,
                tuple(sorted(_refunds(every, attempt.number))),
            )
        )
    fields = order.order_id, str(order.status), order.attempt, order.version, order.currency, order.total_minor
    return Live(OrderState(*fields, tuple(attempts)), ", ".join(working) or ("goods" if held else ""))


def _refunds(operations: Iterable[Operation], attempt: int) -> Iterable[str]:
    for o in operations:
        ours = o.kind is OperationKind.REFUND and o.state is OperationState.APPROVED
        if o.attempt == attempt and (ours or (o.detail or "").startswith(ELSEWHERE)):
            yield o.reference or str(o.operation_id)


def verdict_of(run: Run) -> Verdict:
    """Judge the order of a random life as it stands, by what was said of it so far."""
    assert run.order is not None
    operations = {**run.history, **{o.operation_id: o for o in run.order.operations}}
    live = live_of(run.order, operations.values())
    return judge("order-1", live, folded(*run.journal), deleted=False, refused=False)

"""Both tables of the state machine, as data: what a trigger plans, and what an outcome settles.

A row says: in these statuses, for this trigger (or operation and outcome), when its condition holds, take this step.
The first row that fits counts. Both tables are total: a trigger that fits no row has no effect or is refused by the
last rows, and an outcome that fits no row is looked at for money that no status wants (`Step.UNDO`).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from domain.failure_codes import FailureCode
from domain.operation import OperationKind
from domain.order import Attempt, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    Outcome,
    Pending,
    Reserved,
    Short,
    Unknown,
)
from domain.retries import is_too_old, retry_refusal
from domain.rules import Context
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    ItemsReserved,
    OrderConfirmed,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRetryRequested,
    ReservationFailed,
)


class Trigger(StrEnum):
    """What an event makes us plan."""

    AUTHORIZE = "authorize the first attempt"
    ACCEPT_FREE = "nothing to pay: authorized at once"
    EXPIRE = "too old to charge"
    CONFLICT = "same order id, other content"
    RETRY = "authorize the next attempt"
    REFUSE_RETRY = "tell the customer why not"
    UNKNOWN_ORDER = "no such order"
    AHEAD = "speaks of an attempt or version that does not exist"
    RESERVE = "reserve the items"
    CAPTURE = "capture the money"
    CONFIRM = "captured before or nothing to capture: sell the hold"
    LAPSE = "the hold is gone"
    RETURN = "give the money back"
    CLOSE = "nothing is held: failed"
    RELEASE = "release the holds"
    NOTIFY = "tell the customer"
    NOTHING = "no effect"


class Step(StrEnum):
    """What an outcome makes of the order."""

    AUTHORIZED = "payment authorized"
    AUTHORIZE_FAILED = "payment failed at authorize"
    RESERVED = "items reserved"
    SHORT = "reservation failed"
    CONFIRM = "sell the hold next"
    PAID = "paid and confirmed"
    VOID = "void next"
    REFUND = "refund next"
    CAPTURE_FAILED = "payment failed at capture"
    RESERVE_FAILED = "payment failed for lack of goods"
    REFUNDED = "money given back"
    VOIDED = "hold of money given up"
    RELEASED = "hold released"
    REVIEW = "an operator must decide"
    UNDO = "undo money that no status wants, if any"
    LATER = "not executed: the same call again later"
    UNKNOWN = "unknown: look up later"
    PENDING = "accepted: poll for the answer"


class TriggerRow(NamedTuple):
    """statuses: None stands for an order that does not exist."""

    trigger: type[Event]
    statuses: frozenset[Status | None]
    when: Callable[[Order | None, Event, Context], bool]
    then: Trigger


class OutcomeRow(NamedTuple):
    """when sees the order and the attempt with the money of this outcome booked."""

    statuses: frozenset[Status]
    operation: OperationKind
    outcomes: tuple[type[Outcome], ...]
    when: Callable[[Order, Attempt], bool]
    then: Step


ANY: frozenset[Status] = frozenset(Status)
ANY_OR_NONE: frozenset[Status | None] = frozenset({None, *Status})


def _in(*statuses: Status | None) -> frozenset[Status | None]:
    return frozenset(statuses)


def _always(*_: object) -> bool:
    return True


def _free(_order: Order | None, event: Event, _context: Context) -> bool:
    return isinstance(event, OrderConfirmed) and event.total_minor == 0


def _current(order: Order | None, event: Event, _context: Context) -> bool:
    """Whether the event speaks of the current attempt, and nothing is under way: then it was planned before."""
    return order is not None and getattr(event, "attempt", None) == order.attempt and not order.busy()


def _ahead(order: Order | None, event: Event, _context: Context) -> bool:
    return order is not None and (
        getattr(event, "attempt", 0) > order.attempt or getattr(event, "order_version", 0) > order.version
    )


def _retry_behind(order: Order | None, event: Event, _context: Context) -> bool:
    return order is not None and isinstance(event, PaymentRetryRequested) and event.after_attempt < order.attempt


def _retry_ahead(order: Order | None, event: Event, _context: Context) -> bool:
    return order is not None and isinstance(event, PaymentRetryRequested) and event.after_attempt > order.attempt


def _retry_allowed(order: Order | None, event: Event, context: Context) -> bool:
    return order is not None and retry_refusal(order, event, context) is None


def _live_hold(order: Order | None, event: Event, context: Context) -> bool:
    if order is None or not _current(order, event, context):
        return False
    hold = order.hold_of(order.attempt)
    return hold is not None and hold.is_live(context.at)


def _to_capture(order: Order | None, event: Event, context: Context) -> bool:
    return order is not None and _live_hold(order, event, context) and order.current.held_minor > 0


def _money(order: Order | None, event: Event, context: Context) -> bool:
    return (
        order is not None
        and _current(order, event, context)
        and (order.current.held_minor > 0 or order.current.kept_minor > 0)
    )


TRIGGERS: tuple[TriggerRow, ...] = (
    TriggerRow(OrderConfirmed, _in(None), is_too_old, Trigger.EXPIRE),
    TriggerRow(OrderConfirmed, _in(None), _free, Trigger.ACCEPT_FREE),
    TriggerRow(OrderConfirmed, _in(None), _always, Trigger.AUTHORIZE),
    # Whether it is the same content is the step's to say: it compares hashes.
    TriggerRow(OrderConfirmed, ANY_OR_NONE, _always, Trigger.CONFLICT),
    TriggerRow(PaymentRetryRequested, _in(None), _always, Trigger.UNKNOWN_ORDER),
    TriggerRow(PaymentRetryRequested, ANY_OR_NONE, _retry_behind, Trigger.NOTHING),
    TriggerRow(PaymentRetryRequested, ANY_OR_NONE, _retry_ahead, Trigger.AHEAD),
    TriggerRow(PaymentRetryRequested, _in(Status.PAYMENT_FAILED), _retry_allowed, Trigger.RETRY),
    TriggerRow(PaymentRetryRequested, ANY_OR_NONE, _always, Trigger.REFUSE_RETRY),
    *(
        row
        for event in (PaymentAuthorized, ItemsReserved, ReservationFailed, PaymentFailed)
        for row in (
            TriggerRow(event, _in(None), _always, Trigger.UNKNOWN_ORDER),
            TriggerRow(event, ANY_OR_NONE, _ahead, Trigger.AHEAD),
        )
    ),
    TriggerRow(PaymentAuthorized, _in(Status.PAYMENT_AUTHORIZED), _current, Trigger.RESERVE),
    TriggerRow(ItemsReserved, _in(Status.ITEMS_RESERVED), _to_capture, Trigger.CAPTURE),
    TriggerRow(ItemsReserved, _in(Status.ITEMS_RESERVED), _live_hold, Trigger.CONFIRM),
    TriggerRow(ItemsReserved, _in(Status.ITEMS_RESERVED), _current, Trigger.LAPSE),
    TriggerRow(ReservationFailed, _in(Status.RESERVATION_FAILED), _money, Trigger.RETURN),
    TriggerRow(ReservationFailed, _in(Status.RESERVATION_FAILED), _current, Trigger.CLOSE),
    TriggerRow(PaymentFailed, ANY_OR_NONE, _always, Trigger.RELEASE),
    TriggerRow(CustomerNotificationRequested, ANY_OR_NONE, _always, Trigger.NOTIFY),
)


def _is_current(order: Order, attempt: Attempt) -> bool:
    return attempt.number == order.attempt


def _goods_live(order: Order, attempt: Attempt) -> bool:
    """Whether the attempt still has its pinned hold. An operator may settle a capture long after."""
    hold = order.hold_of(attempt.number)
    return _is_current(order, attempt) and hold is not None and hold.state.value == "held" and hold.pinned


def _fresh(order: Order, attempt: Attempt) -> bool:
    """Whether the approval came in time: one that an operator found later is voided (`Step.UNDO`)."""
    return _is_current(order, attempt) and order.status is not Status.MANUAL_REVIEW


def _money_kept(order: Order, attempt: Attempt) -> bool:
    return _is_current(order, attempt) and attempt.kept_minor > 0


def _capture_refused(order: Order, attempt: Attempt) -> bool:
    """Whether the goods were there: the capture was refused, and yet the void found the money captured."""
    return _is_current(order, attempt) and attempt.failure_code is FailureCode.CAPTURE_REFUSED


def _cancelled(order: Order, attempt: Attempt) -> bool:
    """Whether an operator has given up an order that stood still: its money goes back, and then it has failed."""
    return _is_current(order, attempt) and attempt.failure_code is FailureCode.CANCELLED_BY_OPERATOR


def _s(*statuses: Status) -> frozenset[Status]:
    return frozenset(statuses)


_K = OperationKind
_CONFIRMED, _RESERVED, _NO_GOODS = Status.CONFIRMED, Status.ITEMS_RESERVED, Status.RESERVATION_FAILED
_GIVEN_UP = _s(Status.PAYMENT_AUTHORIZED, _RESERVED)

OUTCOMES: tuple[OutcomeRow, ...] = (
    *(OutcomeRow(ANY, kind, (Unknown, NotFound), _always, Step.UNKNOWN) for kind in OperationKind),
    *(OutcomeRow(ANY, kind, (NotExecuted,), _always, Step.LATER) for kind in OperationKind),
    OutcomeRow(_GIVEN_UP, _K.VOID, (Approved, Lapsed), _cancelled, Step.AUTHORIZE_FAILED),
    OutcomeRow(_GIVEN_UP, _K.REFUND, (Approved, Pending), _cancelled, Step.AUTHORIZE_FAILED),
    OutcomeRow(_s(_CONFIRMED), _K.REFUND, (Pending,), _is_current, Step.AUTHORIZE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.REFUND, (Pending,), _capture_refused, Step.CAPTURE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.REFUND, (Pending,), _is_current, Step.RESERVE_FAILED),
    OutcomeRow(_s(_NO_GOODS), _K.REFUND, (Pending,), _is_current, Step.RESERVE_FAILED),
    *(OutcomeRow(ANY, kind, (Pending,), _always, Step.PENDING) for kind in OperationKind),
    OutcomeRow(_s(_CONFIRMED), _K.AUTHORIZE, (Approved,), _fresh, Step.AUTHORIZED),
    OutcomeRow(_s(_CONFIRMED), _K.AUTHORIZE, (Declined, Lapsed), _is_current, Step.AUTHORIZE_FAILED),
    OutcomeRow(_s(_CONFIRMED), _K.VOID, (Approved, Lapsed), _is_current, Step.AUTHORIZE_FAILED),
    OutcomeRow(_s(_CONFIRMED), _K.REFUND, (Approved,), _is_current, Step.AUTHORIZE_FAILED),
    OutcomeRow(_s(Status.PAYMENT_AUTHORIZED), _K.RESERVE, (Reserved,), _is_current, Step.RESERVED),
    OutcomeRow(_s(Status.PAYMENT_AUTHORIZED), _K.RESERVE, (Short,), _is_current, Step.SHORT),
    OutcomeRow(_s(_RESERVED), _K.CAPTURE, (Approved, AlreadyCaptured), _goods_live, Step.CONFIRM),
    OutcomeRow(_s(_RESERVED), _K.CAPTURE, (Approved, AlreadyCaptured), _is_current, Step.REFUND),
    OutcomeRow(_s(_RESERVED), _K.CAPTURE, (Declined,), _is_current, Step.VOID),
    OutcomeRow(_s(_RESERVED), _K.CAPTURE, (Lapsed,), _is_current, Step.CAPTURE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.CONFIRM, (Approved,), _is_current, Step.PAID),
    OutcomeRow(_s(_RESERVED), _K.CONFIRM, (Short, Declined), _money_kept, Step.REFUND),
    OutcomeRow(_s(_RESERVED), _K.CONFIRM, (Short, Declined), _is_current, Step.RESERVE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.VOID, (Approved, Lapsed), _is_current, Step.CAPTURE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.REFUND, (Approved,), _capture_refused, Step.CAPTURE_FAILED),
    OutcomeRow(_s(_RESERVED), _K.REFUND, (Approved,), _is_current, Step.RESERVE_FAILED),
    OutcomeRow(_s(_NO_GOODS), _K.VOID, (Approved, Lapsed), _is_current, Step.RESERVE_FAILED),
    OutcomeRow(_s(_NO_GOODS), _K.REFUND, (Approved,), _is_current, Step.RESERVE_FAILED),
    OutcomeRow(ANY, _K.VOID, (AlreadyCaptured,), _always, Step.REFUND),
    OutcomeRow(ANY, _K.VOID, (Declined,), _always, Step.REVIEW),
    OutcomeRow(ANY, _K.REFUND, (Declined, Lapsed), _always, Step.REVIEW),
    OutcomeRow(ANY, _K.VOID, (Approved, Lapsed), _always, Step.VOIDED),
    OutcomeRow(ANY, _K.REFUND, (Approved,), _always, Step.REFUNDED),
    OutcomeRow(ANY, _K.RELEASE, (Approved,), _always, Step.RELEASED),
)


def planned(order: Order | None, event: Event, context: Context) -> Trigger:
    """Look up what this event makes us plan."""
    status = None if order is None else order.status
    for row in _BY_TRIGGER[type(event)]:
        if status in row.statuses and row.when(order, event, context):
            return row.then
    return Trigger.NOTHING


def settled(order: Order, attempt: Attempt, kind: OperationKind, outcome: Outcome) -> Step:
    """Look up what this outcome makes of the order; attempt has the money of the outcome booked."""
    status = order.effective_status
    for row in _BY_OUTCOME.get((kind, type(outcome)), ()):
        if status in row.statuses and row.when(order, attempt):
            return row.then
    return Step.UNDO


_BY_TRIGGER = {event: tuple(row for row in TRIGGERS if row.trigger is event) for event in {r.trigger for r in TRIGGERS}}
_BY_OUTCOME = {
    (kind, outcome): tuple(row for row in OUTCOMES if row.operation is kind and outcome in row.outcomes)
    for kind in OperationKind
    for outcome in Outcome.__args__
}

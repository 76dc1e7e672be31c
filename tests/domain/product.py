"""The whole product: every status with everything that may come to it, possible or not.

A case says whether it can happen. What cannot is walked all the same, for exceptions and illegal edges: a bug elsewhere
must not become one here.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, Final, NamedTuple

from consumers.reactions import REACTIONS
from consumers.refund_requested import refund_payment
from domain.failure_codes import FailureCode
from domain.operation import BESIDE_OTHERS, INVENTORY_KINDS, Frozen, Operation, OperationKind, OperationState
from domain.order import Attempt, Hold, HoldState, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    AlreadySold,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    Missing,
    NotExecuted,
    NotFound,
    OtherAmount,
    Outcome,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.reaction import Reaction
from domain.refunding import read_request
from domain.requests import REQUESTS_MAX, Request, RequestState
from domain.rules import Context
from domain.values import replace
from schemas import events as e
from tests.domain.builders import (
    AT,
    TOTAL,
    attempt,
    authorized,
    captured,
    context,
    hold,
    later,
    operation,
    order,
    request,
)
from tests.schemas import builders

K = OperationKind
S = Status

OUTCOMES: Final[tuple[Outcome, ...]] = (
    Approved("pi_1", "re_1", TOTAL),
    Approved("pi_1", None, TOTAL, captured=True),
    Declined(FailureCode.CARD_DECLINED, "generic_decline", "pi_1"),
    AlreadyCaptured("pi_1", TOTAL),
    Lapsed("pi_1"),
    Pending("re_1", "pi_1"),
    Unknown("time-out"),
    Unknown("HTTP 500", replayed=True),
    NotExecuted("HTTP 429", 3.0),
    NotFound(),
    OtherAmount("pi_1", TOTAL - 1),
    OtherAmount("pi_1", TOTAL - 1, captured=True),
    OtherAmount("pi_1", None),
    ReturnedElsewhere(TOTAL, "re_9", "pi_1"),
    ReturnedElsewhere(TOTAL - 1, "re_9", "pi_1"),
    AlreadySold(),
    TransactionMissing(),
    Undecided("pi_1", "requires_confirmation"),
    Undecided("pi_1", "requires_action", asks_customer=True),
    CustomerMustAct("pi_1", "https://bank.example/confirm/pi_1"),
    CustomerMustAct("pi_1"),
    Declined(FailureCode.GATEWAY_REFUSED, None, "pi_1", left_open=True),
    AlreadyCaptured("pi_1", TOTAL, returned=True),
    Reserved(later(900)),
    Short((Missing("SKU-1", 2, 1),)),
    Short((Missing("SKU-1", 2, None),)),
)
_WAITING: Final = (Pending, Unknown, NotExecuted, NotFound)
ANSWERS: Final[dict[OperationKind, tuple[type[Outcome], ...]]] = {
    # What the ports can answer; an inventory never speaks of captures, nor the gateway of shortages.
    K.AUTHORIZE: (
        *(Approved, OtherAmount, Declined, Lapsed, Undecided, CustomerMustAct, ReturnedElsewhere, TransactionMissing),
        *_WAITING,
    ),
    K.CAPTURE: (
        *(Approved, OtherAmount, AlreadyCaptured, Declined, Lapsed, ReturnedElsewhere, TransactionMissing),
        *_WAITING,
    ),
    K.VOID: (Approved, AlreadyCaptured, Declined, Lapsed, TransactionMissing, *_WAITING),
    K.REFUND: (Approved, ReturnedElsewhere, Declined, Lapsed, TransactionMissing, *_WAITING),
    K.RESERVE: (Reserved, Short, Lapsed, *_WAITING),
    K.CONFIRM: (Approved, Short, Declined, Lapsed, *_WAITING),
    K.RELEASE: (Approved, AlreadySold, *_WAITING),
    K.EXTEND: (Reserved, Lapsed, *_WAITING),
    K.RESTOCK: (Approved, Declined, *_WAITING),
}
MEETS: Final[dict[OperationKind, frozenset[Status]]] = {
    # The statuses in which an operation of the current attempt can be unfinished, because no other way leads out of
    # them while it is: no trigger plans anything for a busy order, and no outcome but its own comes.
    # In payment_failed because the bank took too long.
    K.AUTHORIZE: frozenset({S.CONFIRMED, S.ACTION_REQUIRED, S.PAYMENT_FAILED}),
    K.RESERVE: frozenset({S.PAYMENT_AUTHORIZED}),
    K.CAPTURE: frozenset({S.ITEMS_RESERVED}),
    K.CONFIRM: frozenset({S.ITEMS_RESERVED}),
    # Of a known amount in confirmed and action_required only under review: an approval found by an operator is undone.
    # In payment_failed a refund can be unfinished because it was pending, or because the money came too late.
    K.VOID: frozenset({S.CONFIRMED, S.ACTION_REQUIRED, S.ITEMS_RESERVED, S.RESERVATION_FAILED, S.PAYMENT_FAILED}),
    K.REFUND: frozenset({S.CONFIRMED, S.ACTION_REQUIRED, S.ITEMS_RESERVED, S.RESERVATION_FAILED, S.PAYMENT_FAILED}),
    K.RELEASE: frozenset({S.PAYMENT_FAILED}),
    # It may still be under way when the order is paid or has failed, but not with the money that is walked here.
    K.EXTEND: frozenset({S.ITEMS_RESERVED}),
    # Of a paid order only for a request.
    K.RESTOCK: frozenset({S.CANCELLED}),
}
HOME: Final[dict[str, frozenset[Status]]] = {
    # The statuses in which a reaction opens operations. They and what follows from them are its own until the order
    # leaves them, which only their outcome makes it do: no reaction meets an operation of another's status.
    "authorize_payment": frozenset({S.CONFIRMED, S.ACTION_REQUIRED}),
    "retry_payment": frozenset({S.CONFIRMED, S.ACTION_REQUIRED}),
    "reserve_items": frozenset({S.PAYMENT_AUTHORIZED}),
    "capture_payment": frozenset({S.ITEMS_RESERVED}),
    "return_payment": frozenset({S.RESERVATION_FAILED}),
}
AT_HOME: Final = frozenset().union(*HOME.values())
KNOWN: Final = "R-known"
"""The request that an order has which refund_payment works on."""
UNDONE: Final = frozenset({S.CONFIRMED, S.ACTION_REQUIRED})
"""Where a void or refund of money that we knew of is under way only under review."""


class Planned(NamedTuple):
    """An event that comes to an order."""

    reaction: Reaction
    order: Order | None
    event: e.Event
    context: Context


class Settled(NamedTuple):
    """An answer that comes to an operation of an order. possible: its kind, status, money and answer can meet."""

    reaction: Reaction
    order: Order
    operation: Operation
    outcome: Outcome
    context: Context
    possible: bool


def _statuses() -> Iterator[tuple[Status, Status | None]]:
    """Every status, and manual review once for each status from before."""
    for status in Status:
        if status is not S.MANUAL_REVIEW:
            yield status, None
            yield S.MANUAL_REVIEW, status


_MONEY: Final = (
    attempt(),
    authorized(),
    captured(),
    authorized(voided=True),
    captured(refunded_minor=TOTAL, refund_id="re_1"),
)
_HOLDS: Final[tuple[Hold | None, ...]] = (
    None,
    hold(),
    hold(pinned=True),
    hold(expires_at=AT),
    *(hold(state=state) for state in HoldState if state is not HoldState.HELD),
)
_BUSY: Final = (None, K.AUTHORIZE, K.CAPTURE, K.VOID, K.REFUND, K.RELEASE, K.EXTEND)


def _orders() -> Iterator[Order | None]:
    """No order, and orders at their first, second and fifth attempt in every state of money, goods and work."""
    yield None
    for (status, reviewed), money, goods, busy, tries in product(_statuses(), _MONEY, _HOLDS, _BUSY, (1, 2, 5)):
        if busy is K.EXTEND and (tries > 1 or status is not S.ITEMS_RESERVED):
            continue  # it matters where the capture waits for it
        yield order(
            status,
            *(replace(captured(refunded_minor=TOTAL), number=n) for n in range(1, tries)),
            replace(money, number=tries),
            # The goods of a failed capture are still pinned when the customer is quick.
            holds=((hold(1, pinned=True),) if tries > 1 else ())
            + (() if goods is None else (replace(goods, attempt=tries),)),
            operations=() if busy is None else (operation(busy, tries),),
            reviewed=reviewed,
            retryable=tries != 2,
            retry_until=later(60) if tries != 2 else None,
            version=9,
        )


def _events(trigger: type[e.Event], known: Order | None) -> Iterator[e.Event]:
    """Every event of this type that matters: of the current attempt, an older and a later one, early and late."""
    n = 1 if known is None else known.attempt
    if trigger is e.OrderConfirmed:
        yield builders.order_confirmed()
        yield builders.order_confirmed(customer_id="customer-2")
        yield builders.order_confirmed(occurred_at=later(-90_000))
        yield builders.order_confirmed(
            lines=(e.Line(sku="SKU-1", quantity=1, unit_price_minor=100),),
            delivery_fee_minor=0,
            service_fee_minor=0,
            tax_minor=0,
            payment_method=None,
        )
    elif trigger is e.RefundRequested:
        yield from _asked_refunds(whole=known is not None and known.effective_status is S.PAID_AND_CONFIRMED)
    elif trigger is e.PaymentRetryRequested:
        for after, at in product(sorted({max(1, n - 1), n, n + 1}), (AT, later(60))):
            yield builders.payment_retry_requested(after_attempt=after, occurred_at=at)
    elif trigger is e.OrderCancelRequested:
        yield builders.order_cancel_requested()
    elif trigger is e.PreparationStarted:
        yield builders.preparation_started()
    elif trigger is e.StockAdjusted:
        # It is about no order: it meets none.
        if known is None:
            yield builders.stock_adjusted()
    else:
        build = {
            e.OrderCancelled: builders.order_cancelled,
            e.PaymentAuthorized: builders.payment_authorized,
            e.ItemsReserved: builders.items_reserved,
            e.ReservationFailed: builders.reservation_failed,
            e.PaymentFailed: builders.payment_failed,
            e.CustomerNotificationRequested: builders.customer_notification_requested,
        }[trigger]
        for number in sorted({max(1, n - 1), n, n + 1}):
            yield build(attempt=number, order_version=9)
        yield build(attempt=n, order_version=10)


def _asked_refunds(*, whole: bool) -> Iterator[e.RefundRequested]:
    """Every refund that matters: of a part, of all, of too much; known, known with other content; lines in excess.

    whole: else only those by which the status decides.
    """
    yield builders.refund_requested()
    if not whole:
        return
    yield builders.refund_requested(request_id=KNOWN, lines=())
    yield builders.refund_requested(request_id=KNOWN, amount_minor=1, lines=())
    yield builders.refund_requested(amount_minor=None)
    yield builders.refund_requested(amount_minor=TOTAL, lines=())
    yield builders.refund_requested(amount_minor=TOTAL + 1)
    yield builders.refund_requested(lines=(e.Item(sku="SKU-9", quantity=1),))


def planned_cases() -> Iterator[Planned]:
    """Walk every reaction's trigger against every order."""
    for known in _orders():
        for reaction in REACTIONS:
            asked = known
            if known is not None and reaction is refund_payment:
                asked = known.with_request(known_request(RequestState.DONE, taken_minor=1, returned_minor=1))
            for event in _events(reaction.trigger, known):
                yield Planned(reaction, asked, event, context())
                if K.EXTEND in reaction.calls and known is not None and known.attempt == 1:
                    yield Planned(reaction, asked, event, context(inventory_elsewhere=True))
    full = tuple(request(f"R-{n}", n, state=RequestState.REFUSED) for n in range(1, REQUESTS_MAX + 1))
    paid = order(S.PAID_AND_CONFIRMED, captured(), requests=full, version=9)
    yield Planned(refund_payment, paid, builders.refund_requested(request_id="R-201"), context())


def known_request(state: RequestState, **overrides: Any) -> Request:
    """Build the request KNOWN, as it is asked for once more in the walk."""
    event = builders.refund_requested(request_id=KNOWN, lines=())
    asked = read_request(event, order(S.PAID_AND_CONFIRMED, captured()), context())
    return replace(asked, state=state, taken_at=AT, **overrides)


def _money_of(kind: OperationKind) -> tuple[Attempt, ...]:
    """Return the attempt as it can be while such an operation is unfinished."""
    match kind:
        case K.AUTHORIZE:
            return (attempt(), attempt(transaction_id="pi_1", action_expires_at=later(500)))
        case K.CAPTURE | K.VOID | K.EXTEND:
            return (authorized(),)
        case K.REFUND:
            return (captured(), captured(refund_id="re_1"))
        case K.RESERVE | K.CONFIRM:
            return (captured(), authorized(), attempt(token=None))
        case K.RELEASE:
            return (attempt(), authorized(voided=True), captured(refunded_minor=TOTAL))
        case K.RESTOCK:
            return (captured(), captured(refunded_minor=TOTAL))


def _hold_of(kind: OperationKind) -> tuple[Hold, ...]:
    match kind:
        case K.AUTHORIZE | K.RESERVE:
            return ()
        case K.RESTOCK:
            return (hold(state=HoldState.SOLD),)
        case _:
            return (hold(pinned=True),)


def _work() -> Iterator[tuple[Reaction, OperationKind, OperationState, float]]:
    """Every operation that a reaction may own, in every unfinished state, soon and after it must be given up."""
    for reaction in REACTIONS:
        for kind in OperationKind:
            if kind in reaction.calls:
                for state, age_s in product(
                    (OperationState.OPEN, OperationState.UNKNOWN, OperationState.PENDING), (0, 1_000, 31 * 86_400)
                ):
                    yield reaction, kind, state, age_s


def _foreign(reaction: Reaction, kind: OperationKind, status: Status) -> bool:
    """Whether the order stands where another reaction is at home: see HOME. What is beside others may be anywhere."""
    if reaction is refund_payment:
        return status not in {S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED}
    return kind not in BESIDE_OTHERS and status in AT_HOME and status not in HOME.get(reaction.name, ())


def _is_possible(order: Order, operation: Operation, outcome: Outcome) -> bool:
    status, kind, money = order.effective_status, operation.kind, order.attempts[operation.attempt - 1]
    if operation.for_request is not None:
        known = operation.attempt == order.attempt and status is S.PAID_AND_CONFIRMED
        return known and isinstance(outcome, ANSWERS[kind])
    if operation.attempt != order.attempt:
        # A release names its own hold and may be under way for an older attempt; everything else is settled before a
        # retry begins, because a busy order is not retried. So may an extension be, but not with money that we hold.
        return kind is K.RELEASE and isinstance(outcome, ANSWERS[kind])
    if status not in MEETS[kind] or (order.status in UNDONE and kind in {K.VOID, K.REFUND}):
        return False
    if kind is K.CONFIRM and money.held_minor > 0:
        return False
    if kind is K.RESTOCK and money.kept_minor > 0:
        return False  # it was cancelled, and its money is back
    return isinstance(outcome, ANSWERS[kind])


def settled_cases() -> Iterator[Settled]:
    """Walk every operation of the current and of an older attempt, in every status, against every outcome."""
    for (reaction, kind, state, age_s), (status, reviewed), older in product(_work(), _statuses(), (False, True)):
        effective = reviewed or status
        if not older and _foreign(reaction, kind, effective):
            continue
        op = operation(
            kind,
            reaction=reaction.name,
            state=state,
            unknown_since=None if state is OperationState.OPEN else AT,
            tries=20 if age_s else 1,
            frozen=Frozen(until=later(900 + (age_s if age_s > 1_000 else 0))) if kind is K.EXTEND else None,
            for_request=KNOWN if reaction is refund_payment else None,
        )
        asked = (known_request(RequestState.TAKEN, taken_minor=TOTAL, tries=1),) if reaction is refund_payment else ()
        last = (replace(_at_rest(effective), number=2),) if older else ()
        for money, outcome in product(_money_of(kind), OUTCOMES):
            known = order(
                status,
                money,
                *last,
                holds=_hold_of(kind),
                operations=(op,),
                requests=asked,
                reviewed=reviewed,
                version=9,
            )
            at = context(later(age_s), inventory_elsewhere=kind in INVENTORY_KINDS)
            yield Settled(reaction, known, op, outcome, at, _is_possible(known, op, outcome))


def _at_rest(status: Status) -> Attempt:
    """Return an attempt whose money is as this status wants it."""
    match status:
        case S.CONFIRMED | S.ACTION_REQUIRED | S.PAYMENT_FAILED | S.MANUAL_REVIEW:
            return attempt()
        case S.PAID_AND_CONFIRMED:
            return captured()
        case S.CANCELLED:
            return captured(refunded_minor=TOTAL)
        case S.PAYMENT_AUTHORIZED | S.ITEMS_RESERVED | S.RESERVATION_FAILED:
            return authorized()
